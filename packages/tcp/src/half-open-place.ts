import type { TcpConnection } from "./connection.ts"
import type { HalfOpen } from "./half-open.ts"

/** What is known of a connection while it is half open. An object of its own, as few connections are at a time. */
export class HalfOpenPlace {
  readonly list: HalfOpen
  connection: TcpConnection
  /** The number of what the connection has in common with others in the list. */
  crowd = 0
  isWaitingForSocket = false
  /** Clock milliseconds. */
  begunAt = 0
  older: HalfOpenPlace | undefined = undefined
  newer: HalfOpenPlace | undefined = undefined

  constructor(list: HalfOpen, connection: TcpConnection) {
    this.list = list
    this.connection = connection
  }
}
