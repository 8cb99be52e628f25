/** The conversation with a running program. */
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { setTimeout } from "node:timers/promises"
import { encodeUpdate, type PestoAnswer, PestoCapability, PestoReader, type PestoTable } from "@demiflow/pesto-protocol"

/** How long the program may take for each message, milliseconds: opening all ports takes seconds. */
const TIME_LIMIT = 60_000
/** Between attempts to connect, milliseconds. */
const PAUSE = 50

/** Thrown for a program that doesn't answer; `message` is one sentence for the user. */
export class ConversationError extends Error {
  readonly code = "ERR_PESTO_CONVERSATION"
}

/** A connection to a running program. */
export class Conversation {
  readonly #socket: Socket
  readonly #chunks: AsyncIterator<Uint8Array>
  readonly #path: string

  private constructor(socket: Socket, path: string) {
    this.#socket = socket
    this.#chunks = socket[Symbol.asyncIterator]()
    this.#path = path
    socket.setTimeout(TIME_LIMIT, () => socket.destroy(new Error(`nothing came within ${TIME_LIMIT / 1000} s`)))
    // Reading and writing report it.
    socket.on("error", () => {})
  }

  /** Connects, once the program's queue has room. Throws {@link ConversationError}. */
  static async begin(path: string): Promise<Conversation> {
    const limit = performance.now() + TIME_LIMIT
    for (;;) {
      const socket = connect({ path })
      try {
        await once(socket, "connect")
        return new Conversation(socket, path)
      } catch (cause) {
        const isFull = cause instanceof Error && "code" in cause && cause.code === "EAGAIN"
        if (isFull && performance.now() < limit) await setTimeout(PAUSE)
        else throw new ConversationError(`"${path}" can't be connected to: ${reasonOf(cause)}`, { cause })
      }
    }
  }

  /** The tables as they are: the first message. */
  hello(): Promise<PestoTable[]> {
    return this.#read(PestoReader.hello())
  }

  /** Sends the tables as they are to be. Returns how that ended, if the program says. */
  async update(tables: readonly PestoTable[]): Promise<PestoAnswer | undefined> {
    // Other programs don't know conditions.
    const answers = tables.some(({ capabilities }) => (capabilities & PestoCapability.answers) !== 0)
    await new Promise<void>((resolve, reject) => {
      this.#socket.write(encodeUpdate({ tables, isConditional: answers }), (error) =>
        error ? reject(this.#failure(error)) : resolve(),
      )
    })
    return answers ? this.#read(PestoReader.answer()) : undefined
  }

  /** Sends what is left, and closes the connection. */
  end(): void {
    this.#socket.destroySoon()
  }

  async #read<Message>(reader: PestoReader<Message>): Promise<Message> {
    try {
      for (;;) {
        const { done, value } = await this.#chunks.next()
        if (done) throw new Error("it has closed the connection")
        const message = reader.push(value)
        if (message !== undefined) return message
      }
    } catch (error) {
      throw this.#failure(error)
    }
  }

  #failure(cause: unknown): ConversationError {
    return new ConversationError(`The program at "${this.#path}" doesn't answer: ${reasonOf(cause)}`, { cause })
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return "code" in error && typeof error.code === "string" && error.code in REASONS
    ? REASONS[error.code]
    : error.message
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ECONNREFUSED: "no program listens there",
  EACCES: "it belongs to another user",
  ENOTSOCK: "it is no socket",
}
