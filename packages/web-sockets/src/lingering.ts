declare function setTimeout(callback: () => void, milliseconds: number): unknown
declare function clearTimeout(timer: unknown): void

/** Milliseconds without progress after which what is still to be sent is given up. */
const PATIENCE = 120_000
/** Each may hold a full send buffer that no flow accounts for. */
const MOST = 512

/**
 * Closed connections that still have something to send. Correspondents that take nothing could leave any number of
 * them, so the oldest is given up for one more than the limit.
 */
export class Lingering {
  readonly #connections = new Map<object, { readonly giveUp: () => void; timer: unknown }>()
  readonly #most: number

  constructor(most: number = MOST) {
    this.#most = most
  }

  /** @param giveUp ends the connection by a reset */
  add(connection: object, giveUp: () => void): void {
    const [oldest] = this.#connections.keys()
    if (this.#connections.size >= this.#most) this.#giveUp(oldest)
    this.#connections.set(connection, { giveUp, timer: undefined })
    this.progressed(connection)
  }

  /** A connection has sent something. */
  progressed(connection: object): void {
    const found = this.#connections.get(connection)
    if (found === undefined) return
    clearTimeout(found.timer)
    found.timer = setTimeout(() => this.#giveUp(connection), PATIENCE)
  }

  /** A connection has ended. */
  remove(connection: object): void {
    clearTimeout(this.#connections.get(connection)?.timer)
    this.#connections.delete(connection)
  }

  #giveUp(connection: object): void {
    const found = this.#connections.get(connection)
    this.remove(connection)
    found?.giveUp()
  }
}
