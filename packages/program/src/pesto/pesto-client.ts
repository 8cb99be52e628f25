import { type Arena, Errno, type Log, Vectors } from "@demiflow/core"
import {
  encodeAnswer,
  encodeHello,
  type PestoAnswer,
  PestoProtocolError,
  PestoReader,
  type PestoUpdate,
} from "@demiflow/pesto-protocol"
import { EpollEvent, type EventLoop, MessageFlag, type Native } from "@demiflow/sys"
import type { ForwardedPorts } from "./forwarded-ports.ts"

/** How long a client may take for its part, milliseconds. */
const TIME_LIMIT = 10_000
const CHUNK_BYTES = 8_192
const EPIPE = 32

/** Reads and writes by way of the arena. One at a time uses it. */
export class PestoIo {
  readonly native: Native
  readonly #arena: Arena
  readonly #chunk: number
  readonly #vectors: Vectors

  constructor(native: Native, arena: Arena) {
    this.native = native
    this.#arena = arena
    this.#chunk = arena.reserve(CHUNK_BYTES, 64, "the socket for pesto")
    this.#vectors = new Vectors(arena, 1)
  }

  /** Returns what has arrived, valid until the next call; or 0 at the end, or a negated error number. */
  read(descriptor: number): Uint8Array | number {
    const length = this.native.read(descriptor, this.#chunk, CHUNK_BYTES)
    return length > 0 ? this.#arena.bytes.subarray(this.#chunk, this.#chunk + length) : length
  }

  /** Returns how many bytes were taken, or a negated error number. */
  write(descriptor: number, bytes: Uint8Array): number {
    const part = bytes.subarray(0, CHUNK_BYTES)
    this.#arena.bytes.set(part, this.#chunk)
    this.#vectors.set(0, this.#chunk, part.length)
    return this.native.sendVectors(descriptor, this.#vectors.offset, 1, MessageFlag.doNotWait)
  }
}

/** A client: it is greeted, may ask for one change, gets an answer, and is gone. */
export class PestoClient {
  readonly #io: PestoIo
  readonly #loop: EventLoop
  readonly #descriptor: number
  readonly #ports: ForwardedPorts
  readonly #log: Log
  readonly #onClosed: () => void
  readonly #update: PestoReader<PestoUpdate>
  /** What is still to be sent. */
  #pending: Uint8Array = new Uint8Array()
  #state: "asking" | "changing" | "answered" | "closed" = "asking"
  #deadline: NodeJS.Timeout | undefined
  /** The version of the tables in the hello. */
  #seen = 0

  /** @param descriptor owned from now on */
  constructor(io: PestoIo, loop: EventLoop, descriptor: number, ports: ForwardedPorts, log: Log, onClosed: () => void) {
    this.#io = io
    this.#loop = loop
    this.#descriptor = descriptor
    this.#ports = ports
    this.#log = log
    this.#onClosed = onClosed
    this.#update = PestoReader.update(ports.ids)
  }

  /** Throws a `SystemError` if the connection can't be watched. */
  start(): void {
    // Nothing is read before the hello. The kernel reports the client's end anyway.
    this.#loop.watchDescriptor(this.#descriptor, 0, (events) => this.#onEvents(events))
    this.#ports.whenSettled(() => this.#greet())
  }

  close(): void {
    if (this.#state === "closed") return
    this.#state = "closed"
    clearTimeout(this.#deadline)
    this.#loop.unwatch(this.#descriptor)
    this.#io.native.close(this.#descriptor)
    this.#onClosed()
  }

  #greet(): void {
    if (this.#state !== "asking") return
    this.#limitTime()
    this.#seen = this.#ports.version
    this.#send(encodeHello(this.#ports.tables))
  }

  #limitTime(): void {
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => {
      this.#log.warning("Gave up a client of the socket for pesto: it took too long")
      this.close()
    }, TIME_LIMIT)
  }

  #onEvents(events: number): void {
    if ((events & EpollEvent.writable) !== 0) this.#flush()
    if ((events & ~EpollEvent.writable) === 0) return
    if (this.#state === "asking") this.#read()
    // The client is gone, its change goes on.
    else if (this.#state === "changing") this.#loop.unwatch(this.#descriptor)
    else this.close()
  }

  /** Reads all that has come: the next client has to see what this one asked for. */
  #read(): void {
    while (this.#state === "asking") {
      const bytes = this.#io.read(this.#descriptor)
      if (typeof bytes === "number") {
        if (bytes !== -Errno.EAGAIN && bytes !== -Errno.EINTR) this.close()
        return
      }
      this.#take(bytes)
    }
  }

  #take(bytes: Uint8Array): void {
    try {
      const update = this.#update.push(bytes)
      if (update === undefined) return
      this.#await()
      this.#ports.change(update, this.#seen, (answer) => this.#answer(answer))
    } catch (error) {
      if (!(error instanceof PestoProtocolError)) throw error
      this.#await()
      this.#answer({ result: "failed", message: `Not understood: ${error.message}` })
    }
  }

  /** From here on the client waits for us. */
  #await(): void {
    this.#state = "changing"
    clearTimeout(this.#deadline)
    this.#watch()
  }

  #answer(answer: PestoAnswer): void {
    const { result } = answer
    const message = answer.message.replaceAll("\n", "; ")
    if (result === "outdated") this.#log.debug(message)
    else if (result === "failed") this.#log.warning(`The forwarded ports stay as they were: ${message}`)
    else this.#log.info(`The forwarded ports were changed${message === "" ? "" : `, but: ${message}`}`)
    if (this.#state === "closed") return
    this.#state = "answered"
    this.#limitTime()
    this.#send(encodeAnswer(answer))
  }

  #send(bytes: Uint8Array): void {
    const joined = new Uint8Array(this.#pending.length + bytes.length)
    joined.set(this.#pending)
    joined.set(bytes, this.#pending.length)
    this.#pending = joined
    this.#flush()
  }

  #flush(): void {
    while (this.#pending.length > 0) {
      const sent = this.#io.write(this.#descriptor, this.#pending)
      if (sent === -Errno.EAGAIN) break
      if (sent < 0 && sent !== -EPIPE && sent !== -Errno.ECONNRESET) {
        this.close()
        return
      }
      // If the client has closed its end, what it asked for may still have to be read.
      this.#pending = sent < 0 ? new Uint8Array() : this.#pending.subarray(sent)
    }
    if (this.#pending.length === 0 && this.#state === "answered") this.close()
    else this.#watch()
  }

  #watch(): void {
    const reading = this.#state === "asking" ? EpollEvent.readable : 0
    this.#loop.modify(this.#descriptor, reading | (this.#pending.length > 0 ? EpollEvent.writable : 0))
  }
}
