/**
 * The socket at which pesto changes forwarded ports.
 *
 * Nothing here waits for a client: each has a limited time, and a limited number is served at once while others wait to
 * be accepted.
 */
import type { Arena, Log } from "@demiflow/core"
import { Errno } from "@demiflow/core"
import { EpollEvent, type EventLoop, type Native, readPeerCredentials, SystemError } from "@demiflow/sys"
import { EVERYBODY } from "../identity.ts"
import type { ForwardedPorts } from "./forwarded-ports.ts"
import { PestoClient, PestoIo } from "./pesto-client.ts"

const MOST_CLIENTS = 16
/** How long to stop accepting after the system had no descriptor or memory for a client, milliseconds. */
const PAUSE = 1_000
const CREDENTIALS_BYTES = 12
/** Stands for users that this process's user namespace doesn't know: user_namespaces(7). */
const OVERFLOW_USER = 65_534

/** A listening UNIX stream socket. */
export interface PestoListener {
  readonly descriptor: number
  readonly path: string
  /** Returns a descriptor, or a negated error number. */
  accept(): number
  close(): void
}

/** The parts that the socket is served with. */
export interface PestoParts {
  readonly native: Native
  readonly arena: Arena
  readonly loop: EventLoop
  /** For lines that clients cause. */
  readonly log: Log
  /** The users who may change ports, by their numbers in this process's user namespace. */
  readonly users: ReadonlySet<number>
}

/**
 * The users who may change ports: the process's own, and root. In a user namespace that doesn't number all users as the
 * host does, root and many others are one number. Then the mode of the socket's file alone keeps others away.
 */
export function ownUsers(user: number, userMap: string): ReadonlySet<number> {
  return new Set([user, 0, ...(EVERYBODY.test(userMap) ? [] : [OVERFLOW_USER])])
}

/** Serves clients from its creation on, until it is closed. */
export class PestoSocket {
  readonly #parts: PestoParts
  readonly #listener: PestoListener
  readonly #ports: ForwardedPorts
  readonly #io: PestoIo
  readonly #scratch: number
  readonly #clients = new Set<PestoClient>()
  #pause: NodeJS.Timeout | undefined

  /** Throws a `SystemError` if the listener can't be watched. */
  constructor(parts: PestoParts, listener: PestoListener, ports: ForwardedPorts) {
    this.#parts = parts
    this.#listener = listener
    this.#ports = ports
    this.#io = new PestoIo(parts.native, parts.arena)
    this.#scratch = parts.arena.reserve(CREDENTIALS_BYTES, 8, "the socket for pesto")
    parts.loop.watchDescriptor(listener.descriptor, EpollEvent.readable, () => this.#accept())
  }

  /** Call this before the stack is closed. */
  close(): void {
    this.#ports.close()
    clearTimeout(this.#pause)
    this.#parts.loop.unwatch(this.#listener.descriptor)
    this.#listener.close()
    for (const client of [...this.#clients]) client.close()
  }

  #accept(): void {
    if (this.#clients.size >= MOST_CLIENTS) {
      this.#stopAccepting()
      return
    }
    const descriptor = this.#listener.accept()
    if (descriptor < 0) {
      if (descriptor !== -Errno.EAGAIN && descriptor !== -Errno.ECONNABORTED) this.#rest(-descriptor)
      return
    }
    const { native, loop, log } = this.#parts
    if (!this.#isAllowed(descriptor)) {
      native.close(descriptor)
      return
    }
    const client = new PestoClient(this.#io, loop, descriptor, this.#ports, log, () => {
      this.#clients.delete(client)
      if (this.#pause === undefined) loop.modify(this.#listener.descriptor, EpollEvent.readable)
    })
    this.#clients.add(client)
    try {
      client.start()
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
      client.close()
      this.#rest(error.errno)
    }
  }

  #isAllowed(descriptor: number): boolean {
    const { native, arena, users, log } = this.#parts
    try {
      const { user, process } = readPeerCredentials(native, arena, descriptor, this.#scratch)
      if (users.has(user)) return true
      log.warning(`Refused process ${process} of user ${user} at ${this.#listener.path}`)
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
    }
    return false
  }

  /** The listener stays readable: the loop would spin. */
  #stopAccepting(): void {
    this.#parts.loop.modify(this.#listener.descriptor, 0)
  }

  #rest(errno: number): void {
    this.#stopAccepting()
    clearTimeout(this.#pause)
    this.#parts.log.warning(`Can't accept a client at ${this.#listener.path}: error ${errno}`)
    this.#pause = setTimeout(() => {
      this.#pause = undefined
      this.#parts.loop.modify(this.#listener.descriptor, EpollEvent.readable)
    }, PAUSE)
  }
}
