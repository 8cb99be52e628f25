import { createRequire } from "node:module"
import type { AddressInfo } from "node:net"

/** What is used of a WebSocket of the package `ws`. */
export interface WebSocketOfWs extends NodeJS.EventEmitter {
  binaryType: string
  readonly readyState: number
  readonly bufferedAmount: number
  send(message: Uint8Array, sent?: () => void): void
  close(): void
  terminate(): void
  addEventListener(type: string, listener: (event: object) => void): void
}

export interface ServerOfWs extends NodeJS.EventEmitter {
  readonly clients: ReadonlySet<WebSocketOfWs>
  address(): AddressInfo
  close(): void
}

// The package has no types of its own.
const ws = createRequire(import.meta.url)("ws")

export const WebSocket: new (url: string, options?: object) => WebSocketOfWs = ws.WebSocket
export const WebSocketServer: new (options: object) => ServerOfWs = ws.WebSocketServer
