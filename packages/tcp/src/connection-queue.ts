import type { TcpConnection } from "./connection.ts"

const FIRST_CAPACITY = 16

/** Connections in the order in which their turn comes: a ring, which grows and does not allocate otherwise. */
export class ConnectionQueue {
  #items: (TcpConnection | undefined)[] = Array.from({ length: FIRST_CAPACITY }, () => undefined)
  #first = 0
  count = 0

  push(connection: TcpConnection): void {
    if (this.count === this.#items.length) this.#grow()
    this.#items[(this.#first + this.count++) & (this.#items.length - 1)] = connection
  }

  /** Takes out the one that has waited longest. */
  shift(): TcpConnection | undefined {
    if (this.count === 0) return undefined
    const connection = this.#items[this.#first]
    this.#first = (this.#first + 1) & (this.#items.length - 1)
    this.count--
    return connection
  }

  #grow(): void {
    const { length } = this.#items
    this.#items = Array.from({ length: length * 2 }, (_, index) => this.#items[(this.#first + index) & (length - 1)])
    this.#first = 0
  }
}
