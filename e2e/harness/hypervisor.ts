/** The hypervisor's end of passt's socket, frame by frame or byte by byte, to send what a real one never would. */
import { createConnection, type Socket } from "node:net"
import { run } from "./processes.ts"

/** Adds the length in front, as QEMU's stream netdev does. */
export function framed(frame: Buffer): Buffer {
  const prefix = Buffer.alloc(4)
  prefix.writeUInt32BE(frame.length)
  return Buffer.concat([prefix, frame])
}

/** A guest's ARP request for 192.0.2.`host`. `station`: the last four bytes of the guest's own Ethernet address. */
export function arpRequest(host: number, station = 1): Buffer {
  const own = `0200${station.toString(16).padStart(8, "0")}`
  const text = `ffffffffffff ${own} 0806 0001 0800 06 04 0001 ${own} c0000202 000000000000 c00002`
  return Buffer.concat([Buffer.from(text.replaceAll(" ", ""), "hex"), Buffer.from([host])])
}

function isArpReply(frame: Buffer, host: number): boolean {
  return frame.length >= 42 && frame.readUInt16BE(12) === 0x0806 && frame[21] === 2 && frame[31] === host
}

interface Waiter {
  readonly wants: (frame: Buffer) => boolean
  readonly resolve: (frame: Buffer) => void
  readonly reject: (error: Error) => void
}

export class Hypervisor {
  /** Settles when the connection has ended, by either end. */
  readonly closed: Promise<void>
  readonly #socket: Socket
  #bytes = Buffer.alloc(0)
  readonly #waiters = new Set<Waiter>()

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on("error", () => {}) // passt may close while data is being written.
    socket.on("data", (piece) => this.#take(piece))
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()))
    this.closed.then(() => {
      for (const waiter of this.#waiters) waiter.reject(new Error("passt closed the connection"))
    })
  }

  static connect(path: string): Promise<Hypervisor> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(path)
      socket.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code !== "EAGAIN") return reject(error)
        // passt has not accepted the last one yet. A blocking connect(2) would wait for that.
        setImmediate(() => Hypervisor.connect(path).then(resolve, reject))
      })
      socket.once("connect", () => {
        socket.removeAllListeners("error")
        resolve(new Hypervisor(socket))
      })
    })
  }

  #take(piece: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, piece])
    while (this.#bytes.length >= 4) {
      const end = 4 + this.#bytes.readUInt32BE(0)
      if (this.#bytes.length < end) return
      const frame = this.#bytes.subarray(4, end)
      this.#bytes = this.#bytes.subarray(end)
      for (const waiter of this.#waiters) {
        if (!waiter.wants(frame)) continue
        this.#waiters.delete(waiter)
        waiter.resolve(frame)
      }
    }
  }

  /** Resolves when there is room for more, or the reader has gone. */
  async send(bytes: Buffer): Promise<void> {
    if (this.#socket.destroyed || this.#socket.write(bytes)) return
    await Promise.race([new Promise((resolve) => this.#socket.once("drain", resolve)), this.closed])
  }

  /** The next frame of passt's that matches; rejects when the connection ends first. */
  frame(wants: (frame: Buffer) => boolean): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) reject(new Error("passt has closed the connection"))
      this.#waiters.add({ wants, resolve, reject })
    })
  }

  /** The next answer to `arpRequest(host)`; rejects when the connection ends first. */
  async answered(host: number): Promise<void> {
    await this.frame((frame) => isArpReply(frame, host))
  }

  /** An answer to an ARP request shows that everything sent before it has been handled. */
  async settle(host = 123, station = 1): Promise<void> {
    const answered = this.answered(host)
    await this.send(framed(arpRequest(host, station)))
    await answered
  }

  async disconnect(): Promise<void> {
    this.#socket.destroy()
    await this.closed
  }
}

/** Bytes that wait in this process's end of a UNIX socket of a namespace; the maximum of all its sockets. */
export async function waitingBytes(namespace: string, pid: number): Promise<number> {
  const { stdout } = await run(["nsenter", `--net=${namespace}`, "ss", "-xpH"])
  const queues = stdout.split("\n").filter((line) => line.includes(`pid=${pid},`))
  return Math.max(0, ...queues.map((line) => Number(line.split(/\s+/)[2])))
}
