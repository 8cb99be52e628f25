import { type Address, type Demiflow, type Host, type Listener, SharedPort, type Socket } from "@demiflow/core"

/** Addresses of each end that a listening port remembers: those that it was asked at, and led to, last. */
const MOST_ADDRESSES = 16

/** A port at which datagrams for the other end arrive, from anybody. */
export class ListeningPort extends SharedPort {
  readonly listener: Listener
  /** Addresses that it was asked at. */
  readonly ownAddresses: Address[] = []
  /** Addresses of the guest that what was asked there went to. */
  readonly guestAddresses: Address[] = []
  readonly needsGuest: boolean

  /** @param needsGuest whether what arrives there may be for the guest's link */
  constructor(listener: Listener, host: Host, socket: Socket, needsGuest: boolean) {
    super(host, listener.interface, listener.end.port, socket)
    this.listener = listener
    this.needsGuest = needsGuest
  }

  /** Whether what is sent from the socket leaves as `side` says: from its address, and by the interface that it has to. */
  sendsAs(side: Demiflow): boolean {
    const { address, interfaceName } = this.listener.end
    if (interfaceName !== undefined) return false
    if (this.host.separatesLoopback(side.isV4) && !side.correspondentAddress.isLoopback) return false
    if (address === undefined) return true
    return address.isV4 === side.isV4 && (address.isUnspecified || address.equals(side.forwardingAddress))
  }

  /** Remembers between which addresses a flow has begun. */
  noteAddresses(own: Readonly<Address>, guest: Readonly<Address>): void {
    this.noteOwn(own)
    note(this.guestAddresses, guest)
  }

  /** Remembers an address that a flow has here. */
  noteOwn(own: Readonly<Address>): void {
    note(this.ownAddresses, own)
  }
}

function note(addresses: Address[], address: Readonly<Address>): void {
  for (const known of addresses) if (known.equals(address)) return
  if (addresses.length === MOST_ADDRESSES) addresses.shift()
  addresses.push(address.clone())
}
