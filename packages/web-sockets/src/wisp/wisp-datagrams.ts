/**
 * A UDP socket by streams of a relay, one for each correspondent. A stream is opened for the first datagram; the one
 * that was used least recently is closed for one more than the limit.
 */
import type { Address, Arena } from "@demiflow/core"
import { Errno } from "@demiflow/core"
import type { Correspondent, EventList } from "@demiflow/sockets-kit"
import { DnsDatagrams } from "../dns/dns-datagrams.ts"
import type { DnsOverHttps } from "../dns/dns-over-https.ts"
import type { PortNumbers } from "../port-numbers.ts"
import { CloseReason, connectPacket, dataPacket, HEADER_LENGTH, StreamType } from "./packets.ts"
import type { WispRelay, WispStreamEnd } from "./wisp-relay.ts"

/** Correspondents of a socket at once. */
const MOST_STREAMS = 64

type Receive = (bytes: Uint8Array, address: Address, port: number) => boolean

/** The stream for one correspondent. */
class DatagramStream implements WispStreamEnd {
  readonly id: number
  readonly address: Address
  readonly port: number
  readonly heldForGuest = 0
  isOpen = true
  readonly #relay: WispRelay
  readonly #receive: Receive

  constructor(relay: WispRelay, address: Address, port: number, receive: Receive) {
    this.id = relay.newId()
    this.address = address.clone()
    this.port = port
    this.#relay = relay
    this.#receive = receive
  }

  send(packet: Uint8Array): void {
    if (this.#relay.isReady) this.#relay.send(packet)
    else if (!this.#relay.sendEarly(this, packet)) this.#relay.counters.lostDatagrams++
  }

  opened(): void {
    this.#relay.send(connectPacket(this.id, StreamType.udp, this.address.toString(), this.port))
  }

  data(bytes: Uint8Array): void {
    if (!this.#receive(bytes, this.address, this.port)) this.#relay.counters.lostDatagrams++
  }

  closed(): void {
    this.isOpen = false
  }

  broken(): void {
    this.isOpen = false
  }

  credit(): void {}
  flush(): void {}
}

export class WispDatagrams extends DnsDatagrams {
  readonly #relay: WispRelay
  /** The one used last is the first. */
  #streams: DatagramStream[] = []
  readonly #receive: Receive = (bytes, address, port) => this.arrived(bytes, address, port)

  constructor(
    events: EventList,
    relay: WispRelay,
    isV4: boolean,
    dns: DnsOverHttps | undefined,
    ports: PortNumbers,
    port: number,
    correspondent?: Correspondent,
  ) {
    super(events, isV4, dns, ports, port, correspondent)
    this.#relay = relay
  }

  protected override shut(): void {
    super.shut()
    for (const stream of this.#streams) this.#relay.closeStream(stream, CloseReason.voluntary)
    this.#streams = []
  }

  protected override transmitTo(arena: Arena, offset: number, length: number, address: Address, port: number): number {
    if (port === 0) return -Errno.EINVAL
    if (this.#relay.isReady && this.#relay.isCongested) return -Errno.EAGAIN
    const stream = this.#streamTo(address, port)
    if (stream === undefined) return -Errno.ENETUNREACH
    const packet = dataPacket(stream.id, length)
    packet.set(arena.bytes.subarray(offset, offset + length), HEADER_LENGTH)
    stream.send(packet)
    return 0
  }

  #streamTo(address: Address, port: number): DatagramStream | undefined {
    const streams = this.#streams
    for (let index = 0; index < streams.length; index++) {
      const stream = streams[index]
      if (stream.port !== port || !stream.address.equals(address)) continue
      if (!stream.isOpen) {
        streams.splice(index, 1)
        break
      }
      if (index > 0) {
        streams.copyWithin(1, 0, index)
        streams[0] = stream
      }
      return stream
    }
    const stream = new DatagramStream(this.#relay, address, port, this.#receive)
    if (!this.#relay.add(stream)) return undefined
    streams.unshift(stream)
    const least = streams.length > MOST_STREAMS ? streams.pop() : undefined
    if (least !== undefined) this.#relay.closeStream(least, CloseReason.voluntary)
    return stream
  }
}
