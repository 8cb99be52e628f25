import { type Arena, Demiflow, MacAddress, type Sequence, SequenceBuffer } from "@demiflow/core"

/**
 * Largest IP packet that is kept, bytes: every packet that began a flow, except datagrams that an offload coalesced.
 */
export const LARGEST_HELD = 2_048

/** A packet of the guest, outside of the arena. */
export interface HeldPacket {
  readonly bytes: Uint8Array
  /** Bytes of the network header, and of extension headers. */
  readonly headerLength: number
  readonly demiflow: Demiflow
  readonly etherType: number
  readonly protocol: number
  readonly sourceMac: MacAddress
  readonly targetMac: MacAddress
  readonly segmentSize: number
  readonly hopLimit: number
  readonly trafficClass: number
  readonly dontFragment: number
  readonly checksumTrusted: number
}

/** Copies packet `index` of a sequence. Undefined if it is too large. */
export function holdPacket(arena: Arena, sequence: Sequence, index: number): HeldPacket | undefined {
  const start = sequence.networkOffset[index]
  const end = sequence.endOffset[index]
  if (end - start > LARGEST_HELD) return undefined
  return {
    bytes: arena.bytes.slice(start, end),
    headerLength: sequence.transportOffset[index] - start,
    demiflow: new Demiflow().copyFrom(sequence.demiflow),
    etherType: sequence.etherType,
    protocol: sequence.protocol,
    sourceMac: new MacAddress().copyFrom(sequence.sourceMac),
    targetMac: new MacAddress().copyFrom(sequence.targetMac),
    segmentSize: sequence.segmentSize[index],
    hopLimit: sequence.hopLimit[index],
    trafficClass: sequence.trafficClass[index],
    dontFragment: sequence.dontFragment[index],
    checksumTrusted: sequence.checksumTrusted[index],
  }
}

/** Where kept packets are put back into the arena, one at a time. */
export class HeldPacketPlace {
  readonly #arena: Arena
  readonly #offset: number
  readonly #sequence = new SequenceBuffer(1)

  constructor(arena: Arena) {
    this.#arena = arena
    this.#offset = arena.reserve(LARGEST_HELD, 64, "packets whose verdict is open")
  }

  /** Returns the packet as a sequence, valid until the next call. */
  put(packet: HeldPacket): Sequence {
    const sequence = this.#sequence
    const offset = this.#offset
    this.#arena.bytes.set(packet.bytes, offset)
    sequence.demiflow.copyFrom(packet.demiflow)
    sequence.etherType = packet.etherType
    sequence.protocol = packet.protocol
    sequence.sourceMac.copyFrom(packet.sourceMac)
    sequence.targetMac.copyFrom(packet.targetMac)
    sequence.count = 1
    sequence.networkOffset[0] = offset
    sequence.transportOffset[0] = offset + packet.headerLength
    sequence.endOffset[0] = offset + packet.bytes.length
    sequence.segmentSize[0] = packet.segmentSize
    sequence.hopLimit[0] = packet.hopLimit
    sequence.trafficClass[0] = packet.trafficClass
    sequence.dontFragment[0] = packet.dontFragment
    sequence.checksumTrusted[0] = packet.checksumTrusted
    return sequence
  }
}
