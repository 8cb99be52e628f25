/** Options of the TCP protocol. */
export interface TcpOptions {
  /** Bytes for payload of the guest that sockets didn't take at once, over all connections. Default 64 MiB. */
  readonly holdPoolSize?: number
  /**
   * Round-trip time to the correspondent, microseconds, up to which what the host's socket took is acknowledged to the guest
   * at once; above it, acknowledgements wait for the correspondent's own. Default 1,000.
   */
  readonly acknowledgeOnAcceptRtt?: number
}

export const defaultTcpOptions: Required<TcpOptions> = {
  holdPoolSize: 64 << 20,
  acknowledgeOnAcceptRtt: 1000,
}
