/** `Sockets` of `@demiflow/core` over a relay that speaks the wisp protocol. */
import { type Arena, type Demiflow, Errno, type SideRef, type Socket, type SocketsCapabilities } from "@demiflow/core"
import { type Correspondent, KitSockets, type TurnLoop } from "@demiflow/sockets-kit"
import { TWO_WAY_WISP_CAPABILITIES, WISP_CAPABILITIES } from "../capabilities.ts"
import { DnsOverHttps, type DnsOverHttpsOptions } from "../dns/dns-over-https.ts"
import { Lingering } from "../lingering.ts"
import { PortNumbers } from "../port-numbers.ts"
import type { WispCounters } from "./wisp-counters.ts"
import { WispDatagrams } from "./wisp-datagrams.ts"
import { WispRelay } from "./wisp-relay.ts"
import { WispStream } from "./wisp-stream.ts"
import type { WispWebSocket } from "./wisp-web-socket.ts"

const DEFAULT_BUFFERED_BYTES = 64 << 20
const DEFAULT_GRACE = 1_000

/** Options of {@link WispSockets}. */
export interface WispSocketsOptions {
  /**
   * Opens a WebSocket to the relay: `() => new WebSocket("wss://…/")`. Called when a flow first needs the relay, and
   * again when one does after the WebSocket has closed.
   */
  readonly open: () => WispWebSocket
  /** Sockets that may be open at once; no limit if not given. Protocols keep to shares of it. */
  readonly mostSockets?: number
  /**
   * Bytes of memory for what waits for a slow guest, of all connections together: beyond, the connection with the most
   * is reset. 64 MiB if not given. A connection by a relay with the extension comes to 2 MiB at most, if the relay
   * sends packets of 64 KiB: more than 32 of them may exceed the limit.
   */
  readonly mostBufferedBytes?: number
  /**
   * Milliseconds after which a connection counts as made if the relay doesn't report that, as the protocol allows;
   * 1,000 if not given. Less is faster, but a refusal after it shows as a reset.
   */
  readonly connectGrace?: number
  /**
   * Answers the guest's datagrams to port 53, of any address, by DNS over HTTPS. If not given, the relay takes them.
   */
  readonly dnsOverHttps?: DnsOverHttpsOptions
}

/** Sockets by a relay. Their events come from the loop. */
export class WispSockets extends KitSockets {
  readonly #relay: WispRelay
  readonly #lingering = new Lingering()
  readonly #ports = new PortNumbers()
  readonly #dns: DnsOverHttps | undefined
  readonly #grace: number

  constructor(arena: Arena, loop: TurnLoop, options: WispSocketsOptions) {
    super(arena, loop, options.mostSockets)
    const { open, mostBufferedBytes = DEFAULT_BUFFERED_BYTES, connectGrace = DEFAULT_GRACE, dnsOverHttps } = options
    this.#relay = new WispRelay(open, loop, mostBufferedBytes)
    this.#grace = connectGrace
    if (dnsOverHttps !== undefined) this.#dns = new DnsOverHttps(dnsOverHttps)
  }

  /** {@link WISP_CAPABILITIES}, or {@link TWO_WAY_WISP_CAPABILITIES} once the relay has announced the extension. */
  override get capabilities(): SocketsCapabilities {
    return this.#relay.isTwoWay ? TWO_WAY_WISP_CAPABILITIES : WISP_CAPABILITIES
  }

  /** What the relay has done that it shouldn't have. */
  get counters(): Readonly<WispCounters> {
    return this.#relay.counters
  }

  /** Closes the WebSocket. All flows that are open are reset; another flow opens it again. */
  disconnect(): void {
    this.#relay.close()
  }

  override tcpConnect(side: SideRef, demiflow: Demiflow): Socket {
    if (this.isFull) return -Errno.EMFILE as Socket
    const stream = new WispStream(this.events, this.#relay, this.#lingering, demiflow, this.#grace)
    stream.side = side
    stream.begin()
    return this.addStream(stream)
  }

  override udpOpen(side: SideRef, demiflow: Demiflow): Socket {
    const address = demiflow.correspondentAddress.clone()
    return this.#openDatagrams(side, demiflow, { address, port: demiflow.correspondentPort })
  }

  override udpBind(side: SideRef, demiflow: Demiflow): Socket {
    return this.#openDatagrams(side, demiflow)
  }

  #openDatagrams(side: SideRef, demiflow: Demiflow, correspondent?: Correspondent): Socket {
    return this.addDatagrams(() => {
      const { isV4 } = demiflow
      const port = this.#ports.take(demiflow)
      if (port < 0) return port
      const socket = new WispDatagrams(this.events, this.#relay, isV4, this.#dns, this.#ports, port, correspondent)
      socket.side = side
      return socket
    })
  }
}
