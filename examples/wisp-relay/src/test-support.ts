/** A relay of this process, which reaches everything, and what the tests need of it. */
import { once } from "node:events"
import { type Allows, relay } from "./relay.ts"
import { type ServerOfWs, WebSocket, type WebSocketOfWs, WebSocketServer } from "./ws.ts"

export class TestRelay {
  readonly url: string
  readonly #server: ServerOfWs

  private constructor(server: ServerOfWs) {
    this.#server = server
    this.url = `ws://127.0.0.1:${server.address().port}/`
  }

  static async start(allows: Allows = () => true): Promise<TestRelay> {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false })
    server.on("connection", (webSocket: WebSocketOfWs) => relay(webSocket, allows))
    await once(server, "listening")
    return new TestRelay(server)
  }

  readonly open = (): WebSocketOfWs => new WebSocket(this.url, { perMessageDeflate: false })

  /** A WebSocket that keeps back the announcement of the extension. */
  readonly openPlain = (): WebSocketOfWs => {
    const webSocket = this.open()
    const { addEventListener } = webSocket
    webSocket.addEventListener = (type, listener) => {
      let credits = 0
      const isAnnouncement = (event: object) => {
        const { data } = event as { readonly data?: unknown }
        return data instanceof ArrayBuffer && new DataView(data).getUint32(1) === 0 && ++credits === 2
      }
      addEventListener.call(webSocket, type, (event) => {
        if (!isAnnouncement(event)) listener(event)
      })
    }
    return webSocket
  }

  /** Ends all WebSockets at once, as a relay that dies. */
  breakAll(): void {
    for (const client of this.#server.clients) client.terminate()
  }

  close(): void {
    this.breakAll()
    this.#server.close()
  }
}
