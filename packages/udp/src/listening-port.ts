import type { Address, Demiflow, Listener, Socket, Sockets } from "@demiflow/core"
import { SharedPort } from "@demiflow/protocol-kit"

/** How many addresses a listening port remembers, the most recent ones: of its own, and as many of the guest's. */
const MOST_ADDRESSES = 16

/** A port that accepts datagrams for the other end from anybody. */
export class ListeningPort extends SharedPort {
  readonly listener: Listener
  /** Addresses of ours that datagrams came to. */
  readonly ownAddresses: Address[] = []
  /** Addresses of the guest that these datagrams went to. */
  readonly guestAddresses: Address[] = []
  readonly needsGuest: boolean

  /** @param needsGuest true if datagrams that arrive there may be for the guest's link */
  constructor(listener: Listener, sockets: Sockets, socket: Socket, needsGuest: boolean) {
    super(sockets, listener.interface, listener.end.port, socket)
    this.listener = listener
    this.needsGuest = needsGuest
  }

  /** True if the socket's datagrams leave as `side` requires: from its address, and by the interface of its route. */
  sendsAs(side: Demiflow): boolean {
    const { address, interfaceName } = this.listener.end
    if (interfaceName !== undefined) return false
    if (this.sockets.separatesLoopback(side.isV4) && !side.correspondentAddress.isLoopback) return false
    if (address === undefined) return true
    return address.isV4 === side.isV4 && (address.isUnspecified || address.equals(side.forwardingAddress))
  }

  /** Records the addresses between which a flow has begun. */
  noteAddresses(own: Readonly<Address>, guest: Readonly<Address>): void {
    this.noteOwn(own)
    note(this.guestAddresses, guest)
  }

  /** Records an address of ours that a flow has here. */
  noteOwn(own: Readonly<Address>): void {
    note(this.ownAddresses, own)
  }
}

function note(addresses: Address[], address: Readonly<Address>): void {
  for (const known of addresses) if (known.equals(address)) return
  if (addresses.length === MOST_ADDRESSES) addresses.shift()
  addresses.push(address.clone())
}
