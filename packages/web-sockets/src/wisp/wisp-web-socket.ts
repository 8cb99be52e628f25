/** What is needed of a WebSocket: a browser's, Node.js', or one of the npm package `ws`. */
export interface WispWebSocket {
  binaryType: string
  readonly readyState: number
  readonly bufferedAmount: number
  send(message: Uint8Array<ArrayBuffer>): void
  close(): void
  addEventListener(type: "open" | "message" | "error" | "close", listener: (event: object) => void): void
}
