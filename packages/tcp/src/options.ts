/** Options of the TCP plugin. */
export interface TcpOptions {
  /** Bytes for payload of the guest that sockets didn't take at once, over all connections. 64 MiB by default. */
  readonly holdPoolSize?: number
  /**
   * Round-trip time to the correspondent, microseconds, up to which payload is acknowledged to the guest as soon as the
   * host's socket took it. Above it, acknowledgements wait for the correspondent's own. 1,000 by default.
   */
  readonly acknowledgeOnAcceptRtt?: number
}

export const defaultTcpOptions: Required<TcpOptions> = {
  holdPoolSize: 64 << 20,
  acknowledgeOnAcceptRtt: 1000,
}
