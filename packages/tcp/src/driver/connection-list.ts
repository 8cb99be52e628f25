import type { TcpConnection } from "./tcp-connection.ts"

/**
 * A list of waiting connections that is emptied and refilled without an allocation. Setting an array's length to 0
 * would not do: V8 then frees the elements.
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

  /** Empties the list. The objects stay reachable, as pooled ones do anyway. */
  clear(): void {
    this.count = 0
  }
}
