/**
 * A guest at the other end of a link, whose frames a test builds and reads.
 *
 * The guest assembles frames from layers; parsed frames that it receives wait in an inbox. It has no protocol of its
 * own, and answers nothing by itself.
 */
import type { Address, Link, MacAddress } from "@demiflow/core"
import { type AddressLike, toAddress } from "../host/world.ts"
import { LinkEnd, type LinkFrame } from "../link-end.ts"
import { ethernet, type MacLike, toMac } from "../packets/build-network.ts"
import { type Check, expectFrame, mismatches, PacketMismatchError } from "../packets/check.ts"
import { describePacket } from "../packets/describe.ts"
import { buildPacket, type Layer } from "../packets/layer.ts"
import { type ParsedFrame, parseFrame } from "../packets/parse.ts"
import type { Participant, VirtualClock } from "../virtual-clock.ts"

/** Options of a guest. */
export interface ScriptedGuestOptions {
  readonly clock: VirtualClock
  readonly mac?: MacLike
  /** The destination of the guest's frames: the stack's address, broadcast by default. */
  readonly gatewayMac?: MacLike
  /** Its addresses; the first of each family is {@link ScriptedGuest.addressV4} and so on. */
  readonly addresses?: readonly AddressLike[]
}

/** A frame that the guest received. */
export type ReceivedFrame = ParsedFrame & LinkFrame

/** A guest that a test drives. */
export class ScriptedGuest implements Participant {
  readonly link: Link
  readonly clock: VirtualClock
  readonly mac: MacAddress
  readonly gatewayMac: MacAddress
  readonly addresses: readonly Address[]
  /** Frames that have arrived and were not read. */
  readonly inbox: ReceivedFrame[] = []
  /** Frames that the link refused because it was full. */
  refused = 0
  /** The number of frames received. */
  received = 0
  /** Called with each frame that the guest sends, for traces. */
  onSend: ((frame: ParsedFrame) => void) | undefined
  readonly #end: LinkEnd
  readonly #takers: ((frame: ReceivedFrame) => boolean)[] = []

  /** @param link the guest's own end */
  constructor(link: Link, options: ScriptedGuestOptions) {
    this.link = link
    this.clock = options.clock
    this.mac = toMac(options.mac ?? "02:00:00:00:00:02")
    this.gatewayMac = toMac(options.gatewayMac ?? "ff:ff:ff:ff:ff:ff")
    this.addresses = (options.addresses ?? ["192.0.2.2", "2001:db8::2", "fe80::2"]).map(toAddress)
    this.#end = new LinkEnd(link)
    this.clock.attach(this)
  }

  /** Its first IPv4 address. Throws if it has none. */
  get addressV4(): Address {
    return this.#address((address) => address.isV4)
  }

  /** Its first IPv6 address. Throws if it has none. */
  get addressV6(): Address {
    return this.#address((address) => !address.isV4)
  }

  /** The guest's first address of the given address's family. */
  addressFor(other: AddressLike): Address {
    return toAddress(other).isV4 ? this.addressV4 : this.addressV6
  }

  /** Sends a packet, with an Ethernet header unless the first layer is one. */
  send(...layers: readonly Layer[]): void {
    const isPacket = layers[0]?.etherType !== undefined
    const header = ethernet({ source: this.mac, target: this.gatewayMac })
    this.sendFrame(buildPacket(...(isPacket ? [header, ...layers] : layers)))
  }

  /** Sends a frame unchanged, with the work that is left to the link. */
  sendFrame(bytes: Uint8Array, left: Partial<Omit<LinkFrame, "bytes">> = {}): void {
    if (this.onSend !== undefined) {
      const { checksumStart: start = 0, checksumOffset: offset = 0 } = left
      this.onSend(parseFrame(bytes, start > 0 ? { start, offset } : undefined))
    }
    if (!this.#end.send({ ...left, bytes })) this.refused++
  }

  /**
   * Calls the function with each frame that arrives, before the inbox: true means that the frame is handled. The
   * function added last is called first. Returns a function that removes it.
   */
  onFrame(taker: (frame: ReceivedFrame) => boolean): () => void {
    this.#takers.unshift(taker)
    return () => {
      this.#takers.splice(this.#takers.indexOf(taker), 1)
    }
  }

  /** Takes the oldest frame of the inbox, once all is quiet; undefined if there is none. */
  take(): ReceivedFrame | undefined {
    this.clock.settle()
    return this.inbox.shift()
  }

  /** Takes the oldest frame of the inbox, which must pass the checks. */
  expect(...checks: readonly Check[]): ReceivedFrame {
    const frame = this.take()
    expectFrame(frame, ...checks)
    return frame as ReceivedFrame
  }

  /** Takes the oldest frame of the inbox that passes the checks. Older frames that fail them stay. */
  expectSome(...checks: readonly Check[]): ReceivedFrame {
    this.clock.settle()
    const index = this.inbox.findIndex((frame) => mismatches(frame, checks).length === 0)
    if (index >= 0) return this.inbox.splice(index, 1)[0]
    const others = this.inbox.map((frame) => `\n  ${describePacket(frame)}: ${mismatches(frame, checks).join("; ")}`)
    throw new PacketMismatchError(
      [`none of ${this.inbox.length} frames passes the checks${others.join("")}`],
      undefined,
    )
  }

  /** Asserts that the inbox is empty, once all is quiet. */
  expectNothing(): void {
    this.clock.settle()
    if (this.inbox.length > 0) throw new PacketMismatchError(["a frame that nobody asked for"], this.inbox[0])
  }

  /** Takes all frames of the inbox. */
  takeAll(): ReceivedFrame[] {
    this.clock.settle()
    return this.inbox.splice(0)
  }

  turn(): boolean {
    const frames = this.#end.receive()
    for (const frame of frames) {
      const { checksumStart: start, checksumOffset: offset } = frame
      this.#arrive({ ...parseFrame(frame.bytes, start > 0 ? { start, offset } : undefined), ...frame })
    }
    return frames.length > 0
  }

  nextDeadline(): number {
    // A link that delays frames, such as a fault injector, reports when the next one is due.
    const { nextDeadline } = this.link as { nextDeadline?: () => number }
    return nextDeadline?.call(this.link) ?? Number.POSITIVE_INFINITY
  }

  #arrive(frame: ReceivedFrame): void {
    this.received++
    if (!this.#takers.some((taker) => taker(frame))) this.inbox.push(frame)
  }

  #address(isWanted: (address: Address) => boolean): Address {
    const found = this.addresses.find(isWanted)
    if (found === undefined) throw new Error("The guest has no address of this family: give it one in `addresses`")
    return found
  }
}
