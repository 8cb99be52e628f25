import {
  Address,
  Arena,
  Drops,
  type Forwarding,
  FrameBatch,
  type Link,
  type LinkCapabilities,
  MacAddress,
  type PacketReceiver,
  type Sequence,
  Verdict,
} from "@demiflow/core"
import { type MemoryLink, memoryLinkPair } from "../src/links/memory-link.ts"
import { type TapOptions, TapSide } from "../src/tap-side.ts"
import { OUR_MAC } from "./packets.ts"

/** A packet as a handler saw it. */
export interface SeenPacket {
  readonly network: number
  readonly transport: Uint8Array
  readonly hopLimit: number
  readonly trafficClass: number
  readonly dontFragment: boolean
  readonly segmentSize: number
  readonly trusted: boolean
}

/** A copy of a sequence. */
export interface SeenSequence {
  readonly demiflow: string
  readonly etherType: number
  readonly protocol: number
  readonly sourceMac: string
  readonly targetMac: string
  readonly packets: SeenPacket[]
}

export class ManualClock {
  now = 0
}

/** Numbers that count up: neither random nor constant. */
export class CountingRandom {
  #next = 1
  int32(): number {
    this.#next = (Math.imul(this.#next, 1_664_525) + 1_013_904_223) | 0
    return this.#next
  }
}

const PORT_PROTOCOLS = [6, 17]
const CLAIMED_ETHER_TYPES = [0x0806, 0x88b5]

/**
 * A tap side on one end of a memory link, with a stack of one handler that takes every packet; the test is at the other
 * end.
 */
export class Fixture {
  readonly arena: Arena = new Arena(12 << 20)
  readonly drops: Drops = new Drops()
  readonly clock: ManualClock = new ManualClock()
  readonly guest: MemoryLink
  readonly link: Link
  readonly tap: TapSide
  readonly seen: SeenSequence[] = []
  /** Called with each sequence, before it is recorded. */
  onSequence: ((sequence: Sequence) => void) | undefined
  readonly #batch = new FrameBatch(1024)
  readonly #scratch: number

  constructor(
    capabilities: Partial<LinkCapabilities> = {},
    options: Partial<TapOptions> = {},
    wrap: (link: Link) => Link = (link) => link,
  ) {
    // Padding would get in the way of all other tests.
    const queue = { capabilities: { smallestFrame: 0, ...capabilities }, queueBytes: 2 << 20 }
    const [ours, guest] = memoryLinkPair(this.arena, this.arena, queue)
    this.guest = guest
    this.link = wrap(ours)
    this.#scratch = this.arena.reserve(1 << 20)
    this.tap = new TapSide({
      link: this.link,
      clock: this.clock,
      random: new CountingRandom(),
      drops: this.drops,
      ourMac: MacAddress.parse(OUR_MAC),
      ourLinkLocal: Address.parse("fe80::1"),
      transmitBytes: 2 << 20,
      reassemblySlots: 4,
      ...options,
    })
    const unclaimed = this.drops.reason("stack: no handler")
    let running = -1
    const stack: PacketReceiver = {
      parts: {
        arena: this.arena,
        guest: this.tap,
        clock: this.clock,
        forwarding: { target: () => Verdict.forward } as unknown as Forwarding,
      },
      handlers: [{ name: "everything" }],
      get running() {
        return running
      },
      hasPorts: (protocol) => PORT_PROTOCOLS.includes(protocol),
      fromGuest: (sequence) => {
        running = 0
        if (sequence.protocol < 0 && !CLAIMED_ETHER_TYPES.includes(sequence.etherType)) {
          this.drops.count(unclaimed, sequence.count)
          return
        }
        this.onSequence?.(sequence)
        this.seen.push(this.#copy(sequence))
      },
    }
    this.tap.attach(stack)
  }

  /** Sends frames as the guest. */
  send(...frames: Uint8Array[]): void {
    let offset = this.#scratch
    for (const [index, frame] of frames.entries()) {
      this.arena.bytes.set(frame, offset)
      this.#batch.setPlain(index, offset, frame.length)
      offset += frame.length
    }
    this.guest.send(this.#batch, 0, frames.length)
  }

  /** Sends one frame as the guest, with the link's notes about it. */
  sendMarked(frame: Uint8Array, marks: { segmentation?: number; segmentSize?: number; checksumStart?: number }): void {
    this.arena.bytes.set(frame, this.#scratch)
    this.#batch.setPlain(0, this.#scratch, frame.length)
    this.#batch.segmentation[0] = marks.segmentation ?? 0
    this.#batch.segmentSize[0] = marks.segmentSize ?? 0
    this.#batch.checksumStart[0] = marks.checksumStart ?? 0
    this.guest.send(this.#batch, 0, 1)
  }

  /** Sends frames, lets the tap side receive them, and returns the resulting sequences. */
  deliver(...frames: Uint8Array[]): SeenSequence[] {
    const before = this.seen.length
    this.send(...frames)
    while (this.tap.receive() > 0);
    return this.seen.slice(before)
  }

  /** Returns the frames that the guest received, with what its link was given about them. */
  received(): ReceivedFrame[] {
    const frames: ReceivedFrame[] = []
    while (this.guest.receive(this.#batch) > 0) {
      const batch = this.#batch
      for (let index = 0; index < batch.count; index++) {
        const offset = batch.offset[index]
        frames.push({
          bytes: this.arena.bytes.slice(offset, offset + batch.length[index]),
          segmentation: batch.segmentation[index],
          segmentSize: batch.segmentSize[index],
          headerLength: batch.headerLength[index],
          checksumStart: batch.checksumStart[index],
          checksumOffset: batch.checksumOffset[index],
        })
      }
    }
    return frames
  }

  #copy(sequence: Sequence): SeenSequence {
    return {
      demiflow: sequence.demiflow.toString(),
      etherType: sequence.etherType,
      protocol: sequence.protocol,
      sourceMac: sequence.sourceMac.toString(),
      targetMac: sequence.targetMac.toString(),
      packets: Array.from({ length: sequence.count }, (_, index) => ({
        network: sequence.networkOffset[index],
        transport: this.arena.bytes.slice(sequence.transportOffset[index], sequence.endOffset[index]),
        hopLimit: sequence.hopLimit[index],
        trafficClass: sequence.trafficClass[index],
        dontFragment: sequence.dontFragment[index] === 1,
        segmentSize: sequence.segmentSize[index],
        trusted: sequence.checksumTrusted[index] === 1,
      })),
    }
  }
}

export interface ReceivedFrame {
  readonly bytes: Uint8Array
  readonly segmentation: number
  readonly segmentSize: number
  readonly headerLength: number
  readonly checksumStart: number
  readonly checksumOffset: number
}
