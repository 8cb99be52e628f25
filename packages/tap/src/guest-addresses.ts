import { Address, MacAddress } from "@demiflow/core"

const BROADCAST = new MacAddress(0xffff, -1)

/**
 * What the guest was last seen to use. Consulted only to start something towards the guest: what answers a packet of
 * the guest goes to that packet's source.
 */
export class GuestAddresses {
  /** Broadcast until a frame was seen. */
  readonly mac: MacAddress = new MacAddress()
  readonly v4: Address = new Address()
  readonly v6: Address = new Address()
  readonly linkLocal: Address = new Address()
  /** Called when frames come from another Ethernet address than the ones before. */
  onMac: ((mac: MacAddress) => void) | undefined = undefined
  readonly #assignedV4: Address
  readonly #assignedV6: Address
  readonly #assignedLinkLocal: Address

  /** @param v4 @param v6 @param linkLocal what stands there until the guest is seen; copied */
  constructor(v4: Readonly<Address>, v6: Readonly<Address>, linkLocal: Readonly<Address>) {
    this.#assignedV4 = v4.clone()
    this.#assignedV6 = v6.clone()
    this.#assignedLinkLocal = linkLocal.clone()
    this.forget()
  }

  /** As if the guest had never been seen. */
  forget(): void {
    this.mac.copyFrom(BROADCAST)
    this.v4.copyFrom(this.#assignedV4)
    this.v6.copyFrom(this.#assignedV6)
    this.linkLocal.copyFrom(this.#assignedLinkLocal)
  }

  /** Notes the Ethernet source of a frame. Copies it. */
  noticeMac(source: MacAddress): void {
    if (source.low === this.mac.low && source.high === this.mac.high) return
    this.mac.copyFrom(source)
    this.onMac?.(this.mac)
  }

  /** Notes the source of a packet, unless it is the unspecified address. Copies it, and changes nothing else. */
  notice(source: Address): void {
    if (source.isV4) {
      if (source.word3 !== 0) this.v4.word3 = source.word3
    } else if (source.isLinkLocal) this.linkLocal.copyFrom(source)
    else if (!source.isUnspecified) this.v6.copyFrom(source)
  }
}
