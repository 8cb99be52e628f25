/** Two stacks share sockets, so events of one would reach the other. See `Sockets.deliverTo`. */
export class SocketsInUseError extends Error {
  readonly code = "ERR_SOCKETS_IN_USE"

  constructor() {
    super("These sockets belong to another stack: create new ones for each stack")
    this.name = "SocketsInUseError"
  }
}
