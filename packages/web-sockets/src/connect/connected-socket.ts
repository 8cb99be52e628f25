/** What a runtime's `connect()` returns, as far as it is needed: the Sockets API of WinterTC. */
export interface ConnectedSocket {
  readonly readable: { getReader(): ConnectedReader }
  readonly writable: { getWriter(): ConnectedWriter }
  /** Rejected if the connection isn't made. */
  readonly opened: Promise<unknown>
  /** Rejected if the connection breaks. */
  readonly closed: Promise<unknown>
  close(): Promise<unknown>
}

export interface ConnectedReader {
  read(): Promise<{ readonly done: boolean; readonly value?: unknown }>
  cancel(reason?: unknown): Promise<unknown>
}

export interface ConnectedWriter {
  write(bytes: Uint8Array): Promise<unknown>
  close(): Promise<unknown>
  abort(reason?: unknown): Promise<unknown>
}

/** A runtime's `connect()`. The host name is an address: IPv6 ones have no brackets. */
export type Connect = (
  end: { readonly hostname: string; readonly port: number },
  options: { readonly allowHalfOpen: true; readonly secureTransport: "off" },
) => ConnectedSocket
