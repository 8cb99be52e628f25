import type { TcpConnection } from "./connection.ts"

/**
 * Connections that wait for something. Emptied and filled again all the time without an allocation, which the length of an
 * array does not allow: V8 gives the elements away when it is set to 0.
 */
export class ConnectionList {
  readonly #items: TcpConnection[] = []
  count = 0

  at(index: number): TcpConnection {
    return this.#items[index]
  }

  push(connection: TcpConnection): void {
    if (this.count < this.#items.length) this.#items[this.count] = connection
    else this.#items.push(connection)
    this.count++
  }

  /** Forgets all. The objects stay reachable, as pooled ones do anyway. */
  clear(): void {
    this.count = 0
  }
}
