import { Address, MacAddress, type ProtocolHandler, type ProtocolPlugin, type Sequence } from "@demiflow/core"
import { expect } from "vitest"
import { type MemoryStack, type MemoryStackOptions, memoryStack } from "../memory-stack.ts"
import { ethernet } from "../packets/build-network.ts"
import { buildPacket, type Layer } from "../packets/layer.ts"

/** A guest for which samples are made. */
export interface SampleGuest {
  readonly mac: MacAddress
  readonly v4: Address
  readonly v6: Address
  readonly linkLocal: Address
  /** A number that is unique in a test, for ports and identifiers. */
  readonly number: number
}

/** A protocol, and packets that it handles. */
export interface ProtocolUnderTest {
  readonly plugin: ProtocolPlugin
  /**
   * Valid packets of a guest, each from the network layer (or the layer right behind Ethernet) on, in the order of a
   * conversation. The protocol handles every one of them.
   */
  samples(guest: SampleGuest): readonly (readonly Layer[])[]
  /**
   * Addresses besides the guest's own at which it is answered, where a protocol assigns them. Answers to groups and
   * broadcasts are for every guest.
   */
  answeredAt?(guest: SampleGuest): readonly Address[]
  /** Sets the world up, for example its listeners. */
  prepare?(stack: MemoryStack): void
  /** Changes the stack's options. */
  readonly options?: MemoryStackOptions
}

/** A stack with the protocol. */
export class ProtocolBench {
  readonly stack: MemoryStack
  readonly handler: ProtocolHandler
  /** The samples of two guests, from the Ethernet header on. */
  readonly samples: (readonly (readonly Layer[])[])[]

  /** @param stations whom the samples' frames are for: everybody, or the stack alone */
  constructor(under: ProtocolUnderTest, options: MemoryStackOptions = {}, stations: "all" | "stack" = "all") {
    const host = { ...under.options?.sockets, ...options.sockets }
    this.stack = memoryStack([under.plugin], { ...under.options, ...options, sockets: host })
    this.handler = this.stack.stack.handlers[0]
    expectSequencesUnchanged(this.handler)
    under.prepare?.(this.stack)
    this.samples = [0, 1].map((number) => {
      const guest = sampleGuest(number)
      return under
        .samples(guest)
        .map((layers) => [
          ethernet({ source: guest.mac, ...(stations === "stack" && { target: this.stack.tap.ourMac }) }),
          ...layers,
        ])
    })
    // Packets that the stack sends unasked at its start are not answers.
    this.stack.guest.takeAll()
  }

  /** Sends all samples of a guest, and waits for the effect of each. */
  readonly sendSamples = (number = 0): void => {
    for (const layers of this.samples[number]) this.send(layers)
    expect(this.stack.drops.get(`tap: begun and not ended (${this.handler.name})`)).toBe(0)
  }

  readonly send = (layers: readonly Layer[]): void => {
    this.stack.guest.sendFrame(buildPacket(...layers))
    this.stack.run(0)
  }

  /** Sends a packet whose transport checksum the link vouches for, so that its content is parsed. */
  readonly sendTrusted = (layers: readonly Layer[]): void => {
    const checksumStart = layers[1]?.pseudoHeader === undefined ? 0 : 34
    this.stack.guest.sendFrame(buildPacket(...layers), { checksumStart })
    this.stack.run(0)
  }
}

/** Returns the guest of this number. */
export function sampleGuest(number: number): SampleGuest {
  const [v4, v6, linkLocal] = [`192.0.2.${10 + number}`, `2001:db8::${10 + number}`, `fe80::${10 + number}`]
  return {
    mac: new MacAddress(0x0200, 0x10 + number),
    v4: Address.parse(v4),
    v6: Address.parse(v6),
    linkLocal: Address.parse(linkLocal),
    number,
  }
}

/** Has a handler fail that changes a sequence: another handler may be offered the same. */
function expectSequencesUnchanged(handler: ProtocolHandler): void {
  const { fromGuest } = handler
  handler.fromGuest = (sequence) => {
    const before = contentsOf(sequence)
    const disposition = fromGuest.call(handler, sequence)
    const after = contentsOf(sequence)
    // An assertion for each packet would take most of the time.
    if (after !== before) expect(after).toBe(before)
    return disposition
  }
}

function contentsOf(sequence: Sequence): string {
  const { demiflow, sourceMac, targetMac, etherType, protocol, count } = sequence
  const packets = Array.from({ length: count }, (_, index) => [
    sequence.networkOffset[index],
    sequence.transportOffset[index],
    sequence.endOffset[index],
    sequence.segmentSize[index],
    sequence.hopLimit[index],
    sequence.trafficClass[index],
    sequence.dontFragment[index],
    sequence.checksumTrusted[index],
  ])
  return `${demiflow} ${sourceMac} ${targetMac} ${etherType} ${protocol} ${packets.join(" ")}`
}
