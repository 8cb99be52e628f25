/** What went wrong: an option, a port that can't be opened, or no sockets on this runtime. */
export type GatewayErrorCode = "ERR_GATEWAY_OPTION" | "ERR_GATEWAY_PORT" | "ERR_GATEWAY_SOCKETS" | "ERR_GATEWAY_CLOSED"

/** An error of a gateway, in one sentence. */
export class GatewayError extends Error {
  readonly code: GatewayErrorCode

  constructor(code: GatewayErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "GatewayError"
    this.code = code
  }
}

/** An error about an option. */
export function optionError(message: string, options?: ErrorOptions): GatewayError {
  return new GatewayError("ERR_GATEWAY_OPTION", message, options)
}
