import type { Address } from "@demiflow/core"
import { type BytesLike, toBytes } from "../bytes.ts"
import { type AddressLike, toAddress } from "../host/world.ts"
import { ip } from "../packets/build-network.ts"
import { type TcpFields, tcp } from "../packets/build-transport.ts"
import * as check from "../packets/check.ts"
import { payload } from "../packets/layer.ts"
import type { TcpOptions } from "../packets/tcp-options.ts"
import type { ReceivedFrame, ScriptedGuest } from "./scripted-guest.ts"
import { advance, distance } from "./sequence-numbers.ts"

/** Ends and first numbers of a connection that is driven segment by segment. */
export interface ScriptedConnectionOptions {
  readonly target: AddressLike
  readonly port: number
  readonly source?: AddressLike
  readonly sourcePort?: number
  /** Initial sequence number. */
  readonly sequence?: number
}

/**
 * A TCP connection of the guest that a test drives segment by segment. It only tracks sequence numbers,
 * so that the test decides what is sent, when, and with which errors.
 */
export class ScriptedConnection {
  readonly guest: ScriptedGuest
  readonly source: Address
  readonly sourcePort: number
  readonly target: Address
  readonly port: number
  /** Sequence number of the next byte to send. */
  sequence: number
  /** Sequence number of the next expected byte. */
  acknowledgement = 0
  /** The advertised window, not scaled. */
  window = 0xffff
  /** Hop limit and traffic class of sent segments. */
  hopLimit = 64
  trafficClass = 0

  constructor(guest: ScriptedGuest, options: ScriptedConnectionOptions) {
    this.guest = guest
    this.target = toAddress(options.target)
    this.port = options.port
    this.source = toAddress(options.source ?? guest.addressFor(this.target))
    this.sourcePort = options.sourcePort ?? 40_000
    this.sequence = options.sequence ?? 1_000
  }

  /**
   * A connection that the stack begins: the oldest frame must be a SYN to the guest that passes the checks. The SYN
   * isn't answered yet: see {@link ScriptedConnection.accept}.
   */
  static fromSyn(guest: ScriptedGuest, ...checks: readonly check.Check[]): ScriptedConnection {
    const { ip: network, tcp: segment } = guest.expect(check.tcp({ flags: "S" }), ...checks)
    if (network === undefined || segment === undefined) throw new Error("A SYN that has no headers")
    const { source: target, target: source } = network
    const { sourcePort: port, targetPort: sourcePort } = segment
    const connection = new ScriptedConnection(guest, { target, port, source, sourcePort })
    connection.acknowledgement = advance(segment.sequence, 1)
    return connection
  }

  /** Sends a segment with the next numbers, or the given ones, and advances the sequence number. */
  send(flags: string, content: BytesLike = "", fields: Partial<TcpFields> = {}): void {
    const bytes = toBytes(content)
    this.guest.send(
      ip(this.source, this.target, this.hopLimit, undefined, { trafficClass: this.trafficClass }),
      tcp({
        sourcePort: this.sourcePort,
        targetPort: this.port,
        flags,
        sequence: this.sequence,
        acknowledgement: flags.includes("A") ? this.acknowledgement : 0,
        window: this.window,
        ...fields,
      }),
      payload(bytes),
    )
    if (fields.sequence !== undefined) return
    this.sequence = advance(this.sequence, bytes.length + [...flags].filter((flag) => "SF".includes(flag)).length)
  }

  /**
   * Expects the oldest frame to be a segment of this connection that passes the checks, and advances the expected
   * number.
   */
  expect(...checks: readonly check.Check[]): ReceivedFrame {
    return this.#count(this.guest.expect(...this.#ends(), ...checks))
  }

  /** As {@link ScriptedConnection.expect}, but skips frames that fail the checks. */
  expectSome(...checks: readonly check.Check[]): ReceivedFrame {
    return this.#count(this.guest.expectSome(...this.#ends(), ...checks))
  }

  /** Does the handshake. Returns the SYN-ACK. */
  connect(options: TcpOptions = { mss: 1_460 }): ReceivedFrame {
    this.send("S", "", { options })
    const answer = this.expect(check.tcp({ flags: "SA", acknowledgement: this.sequence }))
    this.send("A")
    return answer
  }

  /** Does the handshake of a connection that the stack began. Returns the last frame of the handshake. */
  accept(options: TcpOptions = { mss: 1_460 }): ReceivedFrame {
    this.send("SA", "", { options })
    return this.expect(check.tcp({ flags: "A", acknowledgement: this.sequence }))
  }

  /** Refuses a connection that the stack began. */
  refuse(): void {
    this.send("RA", "", { sequence: 0, window: 0 })
  }

  #ends(): check.Check[] {
    return [
      check.ip({ source: this.target, target: this.source }),
      check.tcp({ sourcePort: this.port, targetPort: this.sourcePort }),
    ]
  }

  #count(frame: ReceivedFrame): ReceivedFrame {
    const segment = frame.tcp
    if (segment === undefined) return frame
    const flags = [...segment.flags].filter((flag) => "SF".includes(flag)).length
    const end = advance(segment.sequence, frame.payload.length + flags)
    const isFirst = segment.flags.includes("S")
    if (isFirst || distance(end, this.acknowledgement) > 0) this.acknowledgement = end
    return frame
  }
}
