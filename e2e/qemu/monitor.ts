/** QEMU's own protocol, QMP: one JSON object a line, commands and answers in turn. */
import { createConnection, type Socket } from "node:net"
import { createInterface } from "node:readline"

interface Answer {
  readonly return?: unknown
  readonly error?: { readonly desc: string }
}

interface Waiter {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

export class Monitor {
  readonly #socket: Socket
  readonly #waiting: Waiter[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    createInterface(socket).on("line", (line) => {
      const answer = JSON.parse(line) as Answer
      // The greeting and events are neither.
      if (answer.return !== undefined || answer.error !== undefined) this.#waiting.shift()?.resolve(answer)
    })
    socket.once("close", () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error("QEMU has closed its monitor"))
    })
  }

  static async connect(path: string): Promise<Monitor> {
    const monitor = await new Promise<Monitor>((resolve, reject) => {
      const socket = createConnection(path, () => resolve(new Monitor(socket)))
      socket.on("error", reject)
    })
    await monitor.execute("qmp_capabilities")
    return monitor
  }

  /** Rejects if QEMU refuses the command, or ends before it answers. */
  async execute(command: string, words: object = {}): Promise<unknown> {
    const answer = await new Promise<Answer>((resolve, reject) => {
      if (this.#socket.closed) return reject(new Error("QEMU has closed its monitor"))
      this.#waiting.push({ resolve, reject })
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: words })}\n`)
    })
    if (answer.error !== undefined) throw new Error(`${command}: ${answer.error.desc}`)
    return answer.return
  }

  close(): void {
    this.#socket.destroy()
  }
}
