/**
 * A real TCP for the guest, small but complete: handshake, retransmission, windows down to zero, scaling, delayed
 * acknowledgements, half-close, data out of order. Whole transfers can run through a stack in virtual time.
 */
import { IpProtocol, Segmentation } from "@demiflow/core"
import { type AddressLike, toAddress } from "../host/world.ts"
import { ethernet, ip } from "../packets/build-network.ts"
import { tcp } from "../packets/build-transport.ts"
import { buildPacket, join, payload, sumOfPseudoHeader, viewOf } from "../packets/layer.ts"
import { SeededRandom } from "../seeded-random.ts"
import type { ConnectionEnds, GuestConnectionOptions, OutgoingSegment } from "./connection-types.ts"
import { GuestConnection } from "./guest-connection.ts"
import type { ReceivedFrame, ScriptedGuest } from "./scripted-guest.ts"
import { advance } from "./sequence-numbers.ts"

/** The ends of a connection, and its behaviour. */
export interface GuestConnectOptions extends GuestConnectionOptions {
  readonly address: AddressLike
  readonly port: number
  /** One of the guest's addresses, or any other; the first of the family by default. */
  readonly fromAddress?: AddressLike
  /** An unused one by default. */
  readonly fromPort?: number
}

/** The behaviour of the guest's TCP, and of every connection whose options don't override it. */
export interface GuestTcpOptions extends GuestConnectionOptions {
  readonly random?: SeededRandom
  /**
   * True if frames with a wrong checksum or length are dropped, as on a link that damages frames. Else they are
   * violations.
   */
  readonly dropsDamaged?: boolean
}

interface GuestListener {
  readonly onConnection: (connection: GuestConnection) => void
  readonly options: GuestConnectionOptions
}

const FIRST_PORT = 40_000
const ETHERNET = 14

/** The TCP of a {@link ScriptedGuest}: handles the guest's TCP segments from its creation on. */
export class GuestTcp {
  /** Behaviour of the stack that no correct TCP shows. Empty if all is well. */
  readonly violations: string[] = []
  readonly #guest: ScriptedGuest
  readonly #random: SeededRandom
  readonly #defaults: GuestTcpOptions
  readonly #connections = new Map<string, GuestConnection>()
  readonly #listeners = new Map<number, GuestListener>()
  #nextPort = FIRST_PORT

  constructor(guest: ScriptedGuest, defaults: GuestTcpOptions = {}) {
    this.#guest = guest
    this.#random = defaults.random ?? new SeededRandom(2)
    this.#defaults = defaults
    guest.onFrame((frame) => this.#arrive(frame))
  }

  /** Existing connections, including those in timeWait. */
  get connections(): readonly GuestConnection[] {
    return [...this.#connections.values()]
  }

  /** Begins a connection. */
  connect(options: GuestConnectOptions): GuestConnection {
    const otherAddress = toAddress(options.address)
    const ends: ConnectionEnds = {
      address: toAddress(options.fromAddress ?? this.#guest.addressFor(otherAddress)),
      port: options.fromPort ?? this.#nextPort++,
      otherAddress,
      otherPort: options.port,
    }
    if (this.#nextPort > 0xffff) this.#nextPort = FIRST_PORT
    const connection = this.#make(ends, options)
    connection.open()
    return connection
  }

  /**
   * Accepts connections to a port. `onConnection` receives each before its SYN is answered. Returns a function that
   * stops listening: later clients are refused.
   */
  listen(
    port: number,
    onConnection: (connection: GuestConnection) => void,
    options: GuestConnectionOptions = {},
  ): () => void {
    const listener = { onConnection, options }
    this.#listeners.set(port, listener)
    return () => {
      if (this.#listeners.get(port) === listener) this.#listeners.delete(port)
    }
  }

  #make(ends: ConnectionEnds, options: GuestConnectionOptions): GuestConnection {
    const { capabilities } = this.#guest.link
    const connection = new GuestConnection(
      ends,
      { ...this.#defaults, ...options },
      {
        clock: this.#guest.clock,
        random: this.#random.fork(),
        mtu: capabilities.mtu,
        cutsSegments: capabilities.tcpSegmentation && capabilities.checksumOffload,
        send: (sender, segment) => this.#send(sender.ends, segment),
        forget: (gone) => this.#forget(gone),
        violation: (what) => this.violations.push(what),
      },
    )
    this.#connections.set(keyOf(ends), connection)
    return connection
  }

  #forget(connection: GuestConnection): void {
    const key = keyOf(connection.ends)
    if (this.#connections.get(key) === connection) this.#connections.delete(key)
  }

  #arrive(frame: ReceivedFrame): boolean {
    const { ip: network, tcp: segment, icmp } = frame
    if (this.#defaults.dropsDamaged && frame.problems.length > 0) return true
    if (icmp?.quote !== undefined) return this.#arriveError(frame)
    if (network === undefined || segment === undefined) return false
    const ends: ConnectionEnds = {
      address: network.target,
      port: segment.targetPort,
      otherAddress: network.source,
      otherPort: segment.sourcePort,
    }
    const listener = this.#listeners.get(segment.targetPort)
    const connection = this.#connections.get(keyOf(ends))
    if (connection !== undefined && listener !== undefined && connection.isSucceededBy(segment)) connection.vanish()
    else if (connection !== undefined) {
      connection.arrive(frame)
      return true
    }
    if (listener !== undefined && segment.flags === "S") {
      const accepted = this.#make(ends, listener.options)
      listener.onConnection(accepted)
      accepted.accept(segment)
    } else if (!segment.flags.includes("R")) this.#refuse(ends, frame)
    return true
  }

  /** Handles an ICMP error about a TCP segment of ours; other messages stay in the inbox. */
  #arriveError(frame: ReceivedFrame): boolean {
    const quote = frame.icmp?.quote
    if (quote?.ip?.protocol !== IpProtocol.tcp || quote.payload.length + (quote.tcp?.headerLength ?? 0) < 8)
      return false
    const ports = quote.tcp ?? portsOf(quote.payload)
    const connection = this.#connections.get(
      keyOf({
        address: quote.ip.source,
        port: ports.sourcePort,
        otherAddress: quote.ip.target,
        otherPort: ports.targetPort,
      }),
    )
    connection?.unreachable()
    return connection !== undefined
  }

  /** RFC 9293, section 3.10.7.1: a segment for no connection is answered with a reset. */
  #refuse(ends: ConnectionEnds, frame: ReceivedFrame): void {
    const segment = frame.tcp
    if (segment === undefined) return
    const { flags, sequence, acknowledgement } = segment
    if (flags.includes("A")) {
      this.#send(ends, { flags: "R", sequence: acknowledgement, acknowledgement: 0, window: 0 })
      return
    }
    const length = frame.payload.length + (flags.includes("S") ? 1 : 0) + (flags.includes("F") ? 1 : 0)
    const end = advance(sequence, length)
    this.#send(ends, { flags: "RA", sequence: 0, acknowledgement: end, window: 0 })
  }

  #send(ends: ConnectionEnds, segment: OutgoingSegment): void {
    const { bytes = new Uint8Array(0), ...fields } = segment
    const { mtu } = this.#guest.link.capabilities
    const frame = buildPacket(
      ethernet({ source: this.#guest.mac, target: this.#guest.gatewayMac }),
      ip(ends.address, ends.otherAddress),
      tcp({ sourcePort: ends.port, targetPort: ends.otherPort, ...fields }),
      payload(bytes),
    )
    if (frame.length - ETHERNET <= mtu) this.#guest.sendFrame(frame)
    else this.#sendLarge(frame, ends, bytes.length)
  }

  /** Prepares the segment for the link to split: the checksum field holds only the pseudo-header's sum. */
  #sendLarge(frame: Uint8Array, ends: ConnectionEnds, payloadLength: number): void {
    const headerLength = frame.length - payloadLength
    const isV4 = ends.address.isV4
    const checksumStart = ETHERNET + (isV4 ? 20 : 40)
    const sum = sumOfPseudoHeader(ends.address, ends.otherAddress, IpProtocol.tcp, frame.length - checksumStart)
    viewOf(frame).setUint16(checksumStart + 16, sum)
    this.#guest.sendFrame(frame, {
      segmentation: isV4 ? Segmentation.tcp4 : Segmentation.tcp6,
      segmentSize: this.#guest.link.capabilities.mtu - (headerLength - ETHERNET),
      headerLength,
      checksumStart,
      checksumOffset: 16,
    })
  }
}

function keyOf({ address, port, otherAddress, otherPort }: ConnectionEnds): string {
  return `${address} ${port} ${otherAddress} ${otherPort}`
}

function portsOf(header: Uint8Array): { sourcePort: number; targetPort: number } {
  const view = viewOf(join(header.subarray(0, 4), new Uint8Array(4)))
  return { sourcePort: view.getUint16(0), targetPort: view.getUint16(2) }
}
