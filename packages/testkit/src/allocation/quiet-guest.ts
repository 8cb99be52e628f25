import {
  Address,
  type Arena,
  type Guest,
  type HostNeighbours,
  type LinkCapabilities,
  MacAddress,
  type Neighbours,
} from "@demiflow/core"
import { noHostNeighbours, noNeighbours } from "../guest/no-neighbours.ts"

/** Bytes from one packet to the next: room for the largest one. */
const PACKET_BYTES = 66_048
const PACKETS = 64
const MTU = 1_500

/**
 * A guest that allocates nothing itself, for {@link bytesPerCall}. A packet to it is overwritten a few dozen packets
 * later. A subclass may read packets in `end`.
 */
export class QuietGuest implements Guest {
  readonly capabilities: LinkCapabilities
  readonly mtu: number = MTU
  readonly ourMac: MacAddress = new MacAddress()
  readonly guestMac: MacAddress = new MacAddress()
  readonly neighbours: Neighbours = noNeighbours
  readonly hostNeighbours: HostNeighbours = noHostNeighbours
  readonly ourLinkLocal: Address = new Address()
  readonly lastSeenV4: Address = new Address()
  readonly lastSeenV6: Address = new Address()
  readonly lastSeenLinkLocal: Address = new Address()
  readonly isCongested: boolean = false
  /** Packets that were sent to the guest. */
  packets = 0
  readonly #start: number
  #next = 0

  /** Reserves 4 MiB. @param isCut whether the guest's link splits packets that are left together */
  constructor(arena: Arena, isCut: boolean) {
    const segmentation = { tcpSegmentation: isCut, udpSegmentation: isCut }
    this.capabilities = { mtu: MTU, headroom: 0, checksumOffload: true, ...segmentation }
    this.#start = arena.reserve(PACKETS * PACKET_BYTES)
  }

  hasAddress(): boolean {
    return false
  }

  begin(): number {
    this.#next = (this.#next + 1) % PACKETS
    return this.#start + this.#next * PACKET_BYTES
  }

  hasRoom(): boolean {
    return true
  }

  redirect(): void {}

  end(_offset: number, _length: number): void {
    this.packets++
  }

  abandon(): void {}

  beginFrame(): number {
    return -1
  }

  endFrame(): void {}

  flush(): void {}
}
