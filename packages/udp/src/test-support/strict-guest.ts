import {
  Address,
  type Arena,
  type Demiflow,
  type Guest,
  type HostNeighbours,
  IpProtocol,
  type LinkCapabilities,
  MacAddress,
  type Neighbours,
  UDP_HEADER_LENGTH,
} from "@demiflow/core"
import { noHostNeighbours, noNeighbours } from "@demiflow/testkit"

/** A packet to the guest, as a handler ended it. */
export interface SentPacket {
  readonly tap: Demiflow
  readonly protocol: number
  /** Transport header and payload. */
  readonly bytes: Uint8Array
  readonly checksumOffset: number
  readonly segmentSize: number
  readonly headerLength: number
  readonly trafficClass: number
}

const HEADROOM = 64

/** Splits coalesced datagrams into pieces of a size; 0 for a single one. */
export function cut(bytes: Uint8Array, size: number): Uint8Array[] {
  if (size === 0) return [bytes]
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.slice(index * size, (index + 1) * size),
  )
}

/** A guest that records the packets it receives, and throws where a handler breaks the rules of core's `Guest`. */
export class StrictGuest implements Guest {
  capabilities: LinkCapabilities
  mtu = 1500
  readonly ourMac: MacAddress = new MacAddress()
  readonly guestMac: MacAddress = new MacAddress()
  readonly neighbours: Neighbours = noNeighbours
  readonly hostNeighbours: HostNeighbours = noHostNeighbours
  readonly ourLinkLocal: Address = Address.parse("fe80::1")
  readonly lastSeenV4: Address = Address.parse("192.0.2.2")
  readonly lastSeenV6: Address = Address.parse("2001:db8::2")
  readonly lastSeenLinkLocal: Address = Address.parse("fe80::2")
  /** Addresses that the guest is known to have, besides those that are assumed. */
  readonly addresses: Set<string> = new Set()
  isCongested = false
  /** Called at each flush, before it makes room. */
  onFlush: () => void = () => {}
  readonly sent: SentPacket[] = []
  flushes = 0
  /** True while the link takes nothing: a flush makes no room then. */
  isStuck = false
  readonly #arena: Arena
  readonly #start: number
  readonly #size: number
  #used = 0
  #lastEnded = 0
  readonly #open = new Map<number, { tap: Demiflow; protocol: number; room: number }>()

  constructor(arena: Arena, size: number, udpSegmentation: boolean) {
    this.#arena = arena
    this.#size = size
    this.#start = arena.reserve(size)
    this.capabilities = {
      mtu: 65_520,
      headroom: 0,
      checksumOffload: true,
      tcpSegmentation: true,
      udpSegmentation,
    }
  }

  /** Number of packets begun and neither ended nor abandoned. */
  get openPackets(): number {
    return this.#open.size
  }

  /** Datagrams sent so far; coalesced ones one by one. */
  get datagrams(): { tap: Demiflow; payload: Uint8Array }[] {
    return this.sent
      .filter(({ protocol }) => protocol === IpProtocol.udp)
      .flatMap(({ tap, bytes, segmentSize }) =>
        cut(bytes.subarray(UDP_HEADER_LENGTH), segmentSize).map((payload) => ({ tap, payload })),
      )
  }

  hasAddress(address: Address, isAssumed: boolean): boolean {
    return isAssumed || this.addresses.has(String(address))
  }

  begin(demiflow: Demiflow, protocol: number, room: number): number {
    if (room > 65_515) throw new Error(`room for ${room} bytes was asked for`)
    const size = HEADROOM + room
    if (this.#used + size > this.#size) return -1
    const offset = this.#start + this.#used + HEADROOM
    this.#used += size
    this.#arena.bytes.fill(0xee, offset, offset + room)
    this.#open.set(offset, { tap: demiflow.clone(), protocol, room })
    return offset
  }

  hasRoom(room: number, packets = 1): boolean {
    return this.#used + packets * (HEADROOM + room) <= this.#size
  }

  redirect(offset: number, demiflow: Demiflow, protocol: number): void {
    const open = this.#open.get(offset)
    if (open === undefined) throw new Error("a packet was redirected that isn't open")
    this.#open.set(offset, { ...open, tap: demiflow.clone(), protocol })
  }

  end(
    offset: number,
    length: number,
    checksumOffset: number,
    segmentSize = 0,
    headerLength = 0,
    trafficClass = 0,
  ): void {
    const open = this.#open.get(offset)
    if (open === undefined) throw new Error("a packet was ended that isn't open")
    if (length > open.room) throw new Error(`a packet of ${length} bytes was ended that has room for ${open.room}`)
    this.#open.delete(offset)
    this.#lastEnded = Math.max(this.#lastEnded, offset)
    const bytes = this.#arena.bytes.slice(offset, offset + length)
    const { tap, protocol } = open
    this.sent.push({ tap, protocol, bytes, checksumOffset, segmentSize, headerLength, trafficClass })
    // The space behind an ended packet is free for others.
    this.#arena.bytes.fill(0xdd, offset + length, offset + open.room)
  }

  abandon(offset: number): void {
    if (!this.#open.has(offset)) throw new Error("a packet was abandoned that isn't open")
    for (const other of this.#open.keys()) if (other >= offset) this.#open.delete(other)
    if (offset > this.#lastEnded) this.#used = offset - HEADROOM - this.#start
  }

  beginFrame(): number {
    throw new Error("UDP sends IP only")
  }

  endFrame(): void {}

  flush(): void {
    if (this.#open.size > 0) throw new Error("flushed while packets are open")
    this.flushes++
    this.onFlush()
    if (this.isStuck) return
    this.#used = 0
    this.#lastEnded = 0
  }
}
