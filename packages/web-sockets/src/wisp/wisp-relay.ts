/**
 * The connection to a relay: one WebSocket, opened when a stream first needs it, and again after it has closed. All
 * streams of a WebSocket that closes are broken. One whose relay stays silent is closed after {@link PATIENCE}.
 *
 * A WebSocket has no bound, and no event when it has sent what it holds. So streams give it nothing while it holds more
 * than {@link SOCKET_BYTES}, and it is polled while a stream waits: in each round of the loop, one of which a timer
 * brings soon. A hidden page's timers are late by a second, and later by a minute. There each round brings the next, at
 * the cost of the processor's time while the network is slower than the guest.
 *
 * Version 1.2 of the protocol has credit in one direction only: a relay that reads faster than the guest takes would
 * have us keep everything. So there is a limit for all streams together, beyond which the stream with the most is
 * reset; and an extension, which a relay announces by repeating its first packet:
 *
 * - We state our own credit in the same way, with a CONTINUE for stream 0, and then for each stream as its guest reads.
 * - An empty DATA packet of a TCP stream is the end of one direction.
 */
import type { TurnLoop } from "@demiflow/sockets-kit"
import { EarlyPackets } from "./early-packets.ts"
import { CloseReason, closePacket, continuePacket, getUint32, HEADER_LENGTH, WispType } from "./packets.ts"
import type { WispCounters } from "./wisp-counters.ts"
import type { WispWebSocket } from "./wisp-web-socket.ts"

declare function setTimeout(callback: () => void, milliseconds: number): unknown
declare function clearTimeout(timer: unknown): void

/** A page has a document; a worker, whose timers are never late, has none. */
interface Runtime {
  readonly document?: { readonly hidden: boolean }
}

/** Bytes in the WebSocket's own buffer above which streams wait. */
const SOCKET_BYTES = 1 << 20
/** Milliseconds between polls while streams wait; browsers make 4 of it. */
const POLL_INTERVAL = 2
/** Milliseconds after a WebSocket that failed to open in which none is opened. */
const PAUSE = 1_000
/** Milliseconds from the opening of a WebSocket to the relay's first packet, beyond which the relay is given up. */
const PATIENCE = 10_000
/**
 * Packets of a stream that the relay may send before we say more: 1 MiB, of a relay that sends pieces of 64 KiB. All of
 * it may still come after the guest has stalled, and half of the credit that it had before.
 */
export const OWN_CREDIT = 16
/** A longer message is no packet of any relay, and closes the WebSocket. */
const LARGEST_MESSAGE = 16 << 20
const OPEN = 1

/** A stream, as the connection to the relay sees it. */
export interface WispStreamEnd {
  readonly id: number
  /** Bytes of memory for what waits for the guest. */
  readonly heldForGuest: number
  /** The relay is there: CONNECT may be sent. */
  opened(): void
  data(bytes: Uint8Array): void
  credit(packets: number): void
  closed(reason: number): void
  /** The WebSocket has closed. */
  broken(): void
  /** The WebSocket has room again. */
  flush(): void
}

export class WispRelay {
  readonly counters: WispCounters = {
    texts: 0,
    malformed: 0,
    strays: 0,
    overCredit: 0,
    overflows: 0,
    lostDatagrams: 0,
    closures: 0,
  }
  /** Credit of a new stream. */
  initialCredit = 0
  /** True if the relay has the extension. */
  isTwoWay = false
  /** True if the relay reports by CONTINUE that a stream is connected. */
  confirms = false
  readonly #open: () => WispWebSocket
  readonly #loop: TurnLoop
  readonly #mostBytes: number
  #webSocket: WispWebSocket | undefined
  #isReady = false
  #patience: unknown
  readonly #early = new EarlyPackets()
  #pauseEnd = Number.NEGATIVE_INFINITY
  #streams = new Map<number, WispStreamEnd>()
  readonly #waiting = new Set<WispStreamEnd>()
  #isPolling = false
  #pollTimer: unknown
  #lastId = 0
  /** Of all streams together. */
  #heldForGuest = 0

  /** @param mostBytes of memory for what waits for the guest, of all streams together */
  constructor(open: () => WispWebSocket, loop: TurnLoop, mostBytes: number) {
    this.#open = open
    this.#loop = loop
    this.#mostBytes = mostBytes
  }

  /** True once streams may be opened. */
  get isReady(): boolean {
    return this.#isReady
  }

  /** True while the WebSocket takes nothing more. */
  get isCongested(): boolean {
    return !this.#isReady || (this.#webSocket?.bufferedAmount ?? 0) > SOCKET_BYTES
  }

  /** A number for a new stream. */
  newId(): number {
    do this.#lastId = this.#lastId === 0xffffffff ? 1 : this.#lastId + 1
    while (this.#streams.has(this.#lastId))
    return this.#lastId
  }

  /** Registers a stream; its `opened` follows, perhaps at once. False if there is no way to the relay now. */
  add(stream: WispStreamEnd): boolean {
    if (this.#webSocket === undefined && !this.#begin()) return false
    this.#streams.set(stream.id, stream)
    if (this.#isReady) stream.opened()
    return true
  }

  /** Forgets a stream that has ended. */
  remove(stream: WispStreamEnd): void {
    if (this.#streams.get(stream.id) !== stream) return
    this.#streams.delete(stream.id)
    this.#waiting.delete(stream)
    this.#early.take(stream)
  }

  send(packet: Uint8Array): void {
    if (this.#webSocket?.readyState === OPEN) this.#webSocket.send(packet as Uint8Array<ArrayBuffer>)
  }

  /** Sends a packet once the relay is there. Returns false if too much waits for that. */
  sendEarly(stream: WispStreamEnd, packet: Uint8Array): boolean {
    return this.#early.add(stream, packet)
  }

  /** Closes a stream, whether it has begun or not, and forgets it. */
  closeStream(stream: WispStreamEnd, reason: number): void {
    if (this.#streams.get(stream.id) !== stream) return
    this.remove(stream)
    if (this.#isReady) this.send(closePacket(stream.id, reason))
  }

  /** Has `flush` called when the WebSocket has room. */
  awaitRoom(stream: WispStreamEnd): void {
    this.#waiting.add(stream)
    if (this.#isPolling || !this.#isReady) return
    this.#isPolling = true
    this.#loop.addSource(this.#poll)
    this.#pollSoon()
  }

  /** Accounts for memory of what waits for the guest. Resets the stream with the most if there are too many. */
  account(bytes: number): void {
    this.#heldForGuest += bytes
    if (bytes <= 0 || this.#heldForGuest <= this.#mostBytes) return
    let largest: WispStreamEnd | undefined
    for (const stream of this.#streams.values()) {
      if (stream.heldForGuest > (largest?.heldForGuest ?? 0)) largest = stream
    }
    if (largest === undefined) return
    this.counters.overflows++
    this.breakStream(largest)
  }

  /** Resets both ends of a stream. */
  breakStream(stream: WispStreamEnd): void {
    this.closeStream(stream, CloseReason.networkError)
    stream.closed(CloseReason.networkError)
  }

  /** Closes the WebSocket; the streams are broken. */
  close(): void {
    const webSocket = this.#webSocket
    this.#gone(webSocket)
    webSocket?.close()
  }

  #begin(): boolean {
    if (this.#loop.clock.now < this.#pauseEnd) return false
    let webSocket: WispWebSocket
    try {
      webSocket = this.#open()
    } catch {
      this.#pauseEnd = this.#loop.clock.now + PAUSE
      return false
    }
    this.#webSocket = webSocket
    this.#patience = setTimeout(() => this.close(), PATIENCE)
    webSocket.binaryType = "arraybuffer"
    webSocket.addEventListener("message", (event) => {
      if (this.#webSocket === webSocket) this.#received((event as { readonly data?: unknown }).data)
    })
    webSocket.addEventListener("error", () => this.#gone(webSocket))
    webSocket.addEventListener("close", () => this.#gone(webSocket))
    return true
  }

  #gone(webSocket: WispWebSocket | undefined): void {
    if (webSocket === undefined || this.#webSocket !== webSocket) return
    this.counters.closures++
    if (!this.#isReady) this.#pauseEnd = this.#loop.clock.now + PAUSE
    this.#webSocket = undefined
    clearTimeout(this.#patience)
    this.#early.clear()
    this.#isReady = false
    this.isTwoWay = false
    this.confirms = false
    const streams = this.#streams
    this.#streams = new Map()
    this.#waiting.clear()
    for (const stream of streams.values()) stream.broken()
  }

  #received(message: unknown): void {
    if (!(message instanceof ArrayBuffer)) this.counters.texts++
    else if (message.byteLength > LARGEST_MESSAGE) {
      this.counters.malformed++
      this.close()
    } else if (message.byteLength < HEADER_LENGTH) this.counters.malformed++
    else {
      const bytes = new Uint8Array(message)
      const id = getUint32(bytes, 1)
      if (id === 0) this.#ofRelay(bytes)
      else this.#ofStream(bytes, id)
    }
  }

  /** A packet for no stream: the relay's credit for each. */
  #ofRelay(bytes: Uint8Array): void {
    if (bytes[0] !== WispType.continue || bytes.length < HEADER_LENGTH + 4) {
      this.counters.malformed++
      return
    }
    this.initialCredit = getUint32(bytes, HEADER_LENGTH)
    if (this.#isReady) {
      if (this.isTwoWay) return
      this.isTwoWay = true
      this.send(continuePacket(0, OWN_CREDIT))
      return
    }
    this.#isReady = true
    clearTimeout(this.#patience)
    for (const stream of [...this.#streams.values()]) {
      stream.opened()
      for (const packet of this.#early.take(stream)) this.send(packet)
    }
  }

  #ofStream(bytes: Uint8Array, id: number): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) this.counters.strays++
    else if (bytes[0] === WispType.data) stream.data(bytes.subarray(HEADER_LENGTH))
    else if (bytes[0] === WispType.continue && bytes.length >= HEADER_LENGTH + 4) {
      stream.credit(getUint32(bytes, HEADER_LENGTH))
    } else if (bytes[0] === WispType.close) {
      this.remove(stream)
      // The reason may be missing.
      stream.closed(bytes[HEADER_LENGTH] ?? CloseReason.networkError)
    } else this.counters.malformed++
  }

  readonly #poll = (): void => {
    if (this.#isReady && !this.isCongested) {
      const waiting = [...this.#waiting]
      this.#waiting.clear()
      for (const stream of waiting) stream.flush()
    }
    if (this.#waiting.size > 0) this.#pollSoon()
    else {
      this.#isPolling = false
      this.#loop.removeSource(this.#poll)
    }
  }

  #pollSoon(): void {
    clearTimeout(this.#pollTimer)
    if ((globalThis as Runtime).document?.hidden) this.#loop.wake()
    else this.#pollTimer = setTimeout(this.#loop.wake, POLL_INTERVAL)
  }
}
