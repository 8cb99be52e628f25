/** The conversation with a running program. */
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import {
  encodeUpdate,
  type PestoAnswer,
  PestoCapability,
  PestoReader,
  type PestoTable,
  type PestoUpdate,
} from "@demiflow/pesto-protocol"

/** How long the program may take for each message, milliseconds: opening all ports takes seconds. */
const TIME_LIMIT = 60_000

/** Thrown for a program that doesn't answer; `message` is one sentence for the user. */
export class ConversationError extends Error {
  readonly code = "ERR_PESTO_CONVERSATION"
}

/** A connection to a running program. */
export class Conversation {
  readonly #socket: Socket
  readonly #path: string

  private constructor(socket: Socket, path: string) {
    this.#socket = socket
    this.#path = path
  }

  /** Connects. Throws {@link ConversationError}. */
  static async begin(path: string): Promise<Conversation> {
    const socket = connect({ path })
    try {
      await once(socket, "connect")
    } catch (cause) {
      throw new ConversationError(`"${path}" can't be connected to: ${reasonOf(cause)}`, { cause })
    }
    socket.setTimeout(TIME_LIMIT, () => socket.destroy(new Error(`no answer within ${TIME_LIMIT / 1000} s`)))
    return new Conversation(socket, path)
  }

  /** The tables as they are: the first message. */
  hello(): Promise<PestoTable[]> {
    return this.#read(PestoReader.hello())
  }

  /** Sends the tables as they are to be. Returns how that ended, if the program says. */
  async update(tables: readonly PestoTable[]): Promise<PestoAnswer | undefined> {
    const update: PestoUpdate = tables
    await new Promise<void>((resolve, reject) => {
      this.#socket.write(encodeUpdate(update), (error) => (error ? reject(this.#failure(error)) : resolve()))
    })
    const answers = tables.some(({ capabilities }) => (capabilities & PestoCapability.answers) !== 0)
    return answers ? this.#read(PestoReader.answer()) : undefined
  }

  end(): void {
    this.#socket.end()
    this.#socket.destroySoon()
  }

  async #read<Message>(reader: PestoReader<Message>): Promise<Message> {
    try {
      for (;;) {
        const bytes: Uint8Array | null = this.#socket.read()
        if (bytes !== null) {
          const message = reader.push(bytes)
          if (message !== undefined) return message
        } else if (this.#socket.readableEnded || this.#socket.destroyed) throw new Error("the connection has ended")
        else await Promise.race([once(this.#socket, "readable"), once(this.#socket, "close")])
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
