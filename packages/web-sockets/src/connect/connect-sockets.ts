/** `Sockets` of `@demiflow/core` by a runtime's `connect()`. */
import { type Arena, type Demiflow, Errno, type SideRef, type Socket, type SocketsCapabilities } from "@demiflow/core"
import { type Correspondent, KitSockets, type TurnLoop } from "@demiflow/sockets-kit"
import { CONNECT_CAPABILITIES } from "../capabilities.ts"
import { DnsDatagrams } from "../dns/dns-datagrams.ts"
import { DnsOverHttps, type DnsOverHttpsOptions } from "../dns/dns-over-https.ts"
import { Lingering } from "../lingering.ts"
import { PortNumbers } from "../port-numbers.ts"
import type { Connect } from "./connected-socket.ts"
import { ConnectedStream } from "./connected-stream.ts"

/** Options of {@link ConnectSockets}. */
export interface ConnectSocketsOptions {
  /** Opens a TCP connection. */
  readonly connect: Connect
  /** Sockets that may be open at once; no limit if not given. Protocols keep to shares of it. */
  readonly mostSockets?: number
  /** Answers the guest's datagrams to port 53, of any address, by DNS over HTTPS. If not given, there is no UDP. */
  readonly dnsOverHttps?: DnsOverHttpsOptions
}

/** Sockets by `connect()`: TCP, and DNS. Their events come from the loop. */
export class ConnectSockets extends KitSockets {
  override readonly capabilities: SocketsCapabilities = CONNECT_CAPABILITIES
  readonly #connect: Connect
  readonly #lingering = new Lingering()
  readonly #ports = new PortNumbers()
  readonly #dns: DnsOverHttps | undefined

  constructor(arena: Arena, loop: TurnLoop, options: ConnectSocketsOptions) {
    super(arena, loop, options.mostSockets)
    this.#connect = options.connect
    if (options.dnsOverHttps !== undefined) this.#dns = new DnsOverHttps(options.dnsOverHttps)
  }

  override tcpConnect(side: SideRef, demiflow: Demiflow): Socket {
    if (this.isFull) return -Errno.EMFILE as Socket
    const stream = new ConnectedStream(this.events, this.#lingering, demiflow)
    stream.side = side
    stream.begin(this.#connect, demiflow)
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
    const dns = this.#dns
    if (dns === undefined) return -Errno.EPROTONOSUPPORT as Socket
    return this.addDatagrams(() => {
      const port = this.#ports.take(demiflow)
      if (port < 0) return port
      const socket = new DnsDatagrams(this.events, demiflow.isV4, dns, this.#ports, port, correspondent)
      socket.side = side
      return socket
    })
  }
}
