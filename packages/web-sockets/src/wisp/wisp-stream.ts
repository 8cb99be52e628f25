/**
 * A TCP connection by a stream of a relay.
 *
 * To the correspondent: packets leave at once while there is credit and the WebSocket has room; what doesn't leave
 * waits in a buffer, from which it leaves in larger packets. From the correspondent: with the extension, the relay gets
 * credit only while the guest reads.
 *
 * The protocol doesn't have to report that a stream is connected. A relay that has ever done so is waited for; with
 * others, a stream that wasn't refused for a while counts as connected.
 */
import { type Arena, type Demiflow, Errno, type Vectors } from "@demiflow/core"
import { ByteRing, type EventList, pushVectors, StreamSocket } from "@demiflow/sockets-kit"
import type { Lingering } from "../lingering.ts"
import { describeOwnEnd } from "../port-numbers.ts"
import {
  CloseReason,
  connectPacket,
  continuePacket,
  dataPacket,
  dataPacketOf,
  HEADER_LENGTH,
  LARGEST_PAYLOAD,
  StreamType,
} from "./packets.ts"
import { OWN_CREDIT, type WispRelay, type WispStreamEnd } from "./wisp-relay.ts"

declare function setTimeout(callback: () => void, milliseconds: number): unknown
declare function clearTimeout(timer: unknown): void

const SEND_BUFFER = 256 << 10

/** What becomes of a connection whose stream was closed for a reason. */
const ERRORS: Readonly<Record<number, number | undefined>> = {
  [CloseReason.networkError]: Errno.ECONNRESET,
  [CloseReason.invalid]: Errno.ENETUNREACH,
  [CloseReason.unreachable]: Errno.EHOSTUNREACH,
  [CloseReason.connectTimedOut]: Errno.ETIMEDOUT,
  [CloseReason.refused]: Errno.ECONNREFUSED,
  [CloseReason.transferTimedOut]: Errno.ETIMEDOUT,
  [CloseReason.blocked]: Errno.EACCES,
}

export class WispStream extends StreamSocket implements WispStreamEnd {
  readonly id: number
  readonly #relay: WispRelay
  readonly #lingering: Lingering
  readonly #host: string
  readonly #port: number
  readonly #isV4Stream: boolean
  readonly #grace: number
  #graceTimer: unknown
  #credit = 0
  readonly #unsent = new ByteRing()
  #isFull = false
  #isClosing = false
  /** Memory that the relay's account has for this stream. */
  #accounted = 0
  /** Packets that have arrived since the relay last got credit. */
  #ungranted = 0
  #isHeldBack = false

  /** @param grace milliseconds after which a stream counts as connected, with a relay that doesn't report that */
  constructor(events: EventList, relay: WispRelay, lingering: Lingering, demiflow: Demiflow, grace: number) {
    super(events, demiflow.isV4)
    this.#relay = relay
    this.#lingering = lingering
    this.id = relay.newId()
    this.#host = demiflow.correspondentAddress.toString()
    this.#port = demiflow.correspondentPort
    this.#isV4Stream = demiflow.isV4
    this.#grace = grace
  }

  get heldForGuest(): number {
    return this.#accounted
  }

  override get sendBufferSize(): number {
    return SEND_BUFFER
  }

  override get unsent(): number {
    return this.#unsent.length
  }

  override keepAlive(): number {
    return 0
  }

  override boundEnd(demiflow: Demiflow): number {
    return describeOwnEnd(demiflow, this.#isV4Stream, 0)
  }

  /** Begins to connect. */
  begin(): void {
    if (!this.#relay.add(this)) this.fail(Errno.ENETUNREACH)
  }

  opened(): void {
    this.#relay.send(connectPacket(this.id, StreamType.tcp, this.#host, this.#port))
    this.#credit = this.#relay.initialCredit
    if (!this.#relay.confirms) this.#graceTimer = setTimeout(() => this.#assume(), this.#grace)
  }

  data(bytes: Uint8Array): void {
    this.#confirmed()
    if (bytes.length === 0) {
      if (this.#relay.isTwoWay && !this.isReadEnded) this.ended()
      return
    }
    if (this.#relay.isTwoWay && ++this.#ungranted > 2 * OWN_CREDIT) {
      this.#relay.counters.overCredit++
      this.#relay.breakStream(this)
      return
    }
    // Nothing follows an end.
    if (this.isReadEnded) return
    this.arrived(bytes)
    this.#account()
    this.#grant()
  }

  credit(packets: number): void {
    this.#credit = packets
    if (this.isConnecting) this.#relay.confirms = true
    this.#confirmed()
    this.flush()
  }

  closed(reason: number): void {
    this.#forget()
    if (this.#isClosing) return
    const isOrderly = reason === CloseReason.voluntary && this.#unsent.length === 0
    if (!isOrderly) {
      this.#unsent.clear()
      this.fail(ERRORS[reason] ?? (this.isConnecting ? Errno.ECONNREFUSED : Errno.ECONNRESET))
      this.#account()
      return
    }
    // A server that had nothing to say.
    this.connected()
    if (!this.isReadEnded) this.ended()
    this.refuseMore()
  }

  broken(): void {
    this.#forget()
    this.#unsent.clear()
    this.fail(this.isConnecting ? Errno.ENETUNREACH : Errno.ECONNRESET)
    this.#account()
  }

  /** Sends what waits, as far as that goes. */
  flush(): void {
    const length = this.#unsent.length
    while (this.#unsent.length > 0 && this.#credit > 0 && !this.#relay.isCongested) {
      const payload = Math.min(this.#unsent.length, LARGEST_PAYLOAD)
      const packet = dataPacket(this.id, payload)
      this.#unsent.copy(0, packet, HEADER_LENGTH, payload)
      this.#unsent.drop(payload)
      this.#credit--
      this.#relay.send(packet)
    }
    if (this.#unsent.length < length) this.#lingering.progressed(this)
    if (this.#unsent.length > 0 && this.#credit > 0) this.#relay.awaitRoom(this)
    if (this.#isFull && this.#unsent.length <= SEND_BUFFER / 2) {
      this.#isFull = false
      this.hasRoom()
    }
    if (this.#unsent.length > 0) return
    if (this.#isClosing) this.#close(CloseReason.voluntary)
    else if (this.isShut && length > 0) this.#endLeft()
  }

  protected override get room(): number {
    const room = SEND_BUFFER - this.#unsent.length
    if (room <= 0) this.#isFull = true
    return room
  }

  protected override take(arena: Arena, vectors: Vectors, first: number, length: number): void {
    if (this.#unsent.length === 0 && length <= LARGEST_PAYLOAD && this.#credit > 0 && !this.#relay.isCongested) {
      this.#credit--
      this.#relay.send(dataPacketOf(this.id, arena, vectors, first, length))
      return
    }
    pushVectors(arena, vectors, first, length, this.#unsent)
    // The caller offers the rest again only after an event.
    if (this.#unsent.length >= SEND_BUFFER) this.#isFull = true
    this.flush()
  }

  protected override sendEnd(): void {
    if (this.#unsent.length === 0) this.#endLeft()
  }

  protected override hold(): void {
    this.#isHeldBack = true
  }

  protected override letGo(): void {
    this.#isHeldBack = false
    this.#grant()
  }

  protected override discarded(): void {
    this.#account()
  }

  protected override get hasUnreported(): boolean {
    return false
  }

  protected override abort(): void {
    this.#unsent.clear()
    this.#close(CloseReason.networkError)
  }

  protected override drop(): void {
    this.#close(CloseReason.networkError)
  }

  protected override closeInOrder(): void {
    this.#account()
    if (this.#unsent.length === 0) this.#close(CloseReason.voluntary)
    else {
      this.#isClosing = true
      this.#lingering.add(this, () => this.abort())
    }
  }

  #assume(): void {
    if (!this.#relay.confirms && this.isOpen) this.connected()
  }

  #confirmed(): void {
    clearTimeout(this.#graceTimer)
    if (this.isOpen) this.connected()
  }

  #endLeft(): void {
    if (this.#relay.isTwoWay) this.#relay.send(dataPacket(this.id, 0))
    this.finished()
  }

  /** Gives the relay credit, once half of it is used up and the guest keeps up. */
  #grant(): void {
    if (this.#isHeldBack || this.#ungranted < OWN_CREDIT / 2 || !this.#relay.isTwoWay || !this.isOpen) return
    this.#ungranted = 0
    this.#relay.send(continuePacket(this.id, OWN_CREDIT))
  }

  #account(): void {
    const held = this.heldBytes
    const change = held - this.#accounted
    this.#accounted = held
    if (change !== 0) this.#relay.account(change)
  }

  #close(reason: number): void {
    this.#relay.closeStream(this, reason)
    this.#forget()
    this.#account()
  }

  #forget(): void {
    clearTimeout(this.#graceTimer)
    this.#lingering.remove(this)
  }
}
