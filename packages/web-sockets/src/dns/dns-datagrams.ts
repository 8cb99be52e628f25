import { type Address, type Arena, type Demiflow, Errno } from "@demiflow/core"
import { type Correspondent, DatagramSocket, type EventList } from "@demiflow/sockets-kit"
import { describeOwnEnd, type PortNumbers } from "../port-numbers.ts"
import type { DnsOverHttps } from "./dns-over-https.ts"

const DNS_PORT = 53

/** A UDP socket whose datagrams to name servers are answered by DNS over HTTPS, and that reaches nobody else. */
export class DnsDatagrams extends DatagramSocket {
  readonly #dns: DnsOverHttps | undefined
  readonly #ports: PortNumbers
  readonly #port: number

  /** @param port taken from `ports` */
  constructor(
    events: EventList,
    isV4: boolean,
    dns: DnsOverHttps | undefined,
    ports: PortNumbers,
    port: number,
    correspondent?: Correspondent,
  ) {
    super(events, isV4, correspondent)
    this.#dns = dns
    this.#ports = ports
    this.#port = port
  }

  override boundEnd(demiflow: Demiflow): number {
    return describeOwnEnd(demiflow, this.isV4, this.#port)
  }

  protected override shut(): void {
    super.shut()
    this.#ports.giveBack(this.isV4, this.#port)
  }

  protected override transmit(arena: Arena, offset: number, length: number, to: Demiflow | undefined): number {
    const address = to?.correspondentAddress ?? this.correspondent?.address
    const port = to?.correspondentPort ?? this.correspondent?.port
    if (address === undefined || port === undefined) return -Errno.EINVAL
    if (port !== DNS_PORT || this.#dns === undefined) return this.transmitTo(arena, offset, length, address, port)
    const server = address.clone()
    this.#dns.ask(arena.bytes.slice(offset, offset + length), (answer) => this.arrived(answer, server, DNS_PORT))
    return 0
  }

  /** Sends a datagram to an end that may change after the call. Returns 0, or a negated error number. */
  protected transmitTo(_arena: Arena, _offset: number, _length: number, _address: Address, _port: number): number {
    return -Errno.ENETUNREACH
  }
}
