/**
 * What connections have carried, for observers. Without one, nothing is kept; and with one, nothing is done for a
 * segment.
 *
 * Sequence numbers say how many bytes went each way, modulo 2³². The host's kernel has counted about the same bytes in
 * 64 bits, and is asked before its socket is closed. Its counts aren't exact: they contain an end as a byte, lack what
 * its correspondent hasn't acknowledged yet, or contain what the guest hasn't been sent yet. But that is less than 2³².
 */
import type { FlowIndex, FlowTotals, Sockets, TcpInformation } from "@demiflow/core"
import { FlowStates } from "@demiflow/protocol-kit"
import { FromHost, isEnding } from "../connection/host-side.ts"
import { distance } from "../connection/sequence-number.ts"
import type { TcpConnection } from "./tcp-connection.ts"

interface Counted {
  isEstablished: boolean
  /** Numbers of the first bytes of payload. */
  firstFromGuest: number
  firstToGuest: number
  bytesFromGuest: number
  bytesToGuest: number
}

export class ConnectionTotals {
  readonly #sockets: Pick<Sockets, "tcpInformation">
  readonly #information: TcpInformation
  readonly #counted = new FlowStates<Counted>()

  /** @param information filled in by {@link ConnectionTotals.count} */
  constructor(sockets: Pick<Sockets, "tcpInformation">, information: TcpInformation) {
    this.#sockets = sockets
    this.#information = information
  }

  /** A connection has a flow, and there is an observer. */
  begin(flow: FlowIndex): void {
    const nothing = { firstFromGuest: 0, firstToGuest: 0, bytesFromGuest: 0, bytesToGuest: 0 }
    this.#counted.add(flow, { isEstablished: false, ...nothing })
  }

  /** The handshake of a connection is finished, and no payload is accepted yet. */
  established({ flow, receiver, sender }: TcpConnection): void {
    const counted = this.#counted.get(flow)
    if (counted === undefined) return
    counted.isEstablished = true
    counted.firstFromGuest = receiver.seqFromGuest
    counted.firstToGuest = sender.ackFromGuest
  }

  /** Counts what a connection has carried, whose socket is about to be closed. */
  count(connection: TcpConnection): void {
    const { flow, fromHost, receiver, sender, socket, toHost } = connection
    const counted = this.#counted.get(flow)
    if (counted === undefined || !counted.isEstablished) return
    const information = this.#information
    information.bytesAcknowledged = information.bytesReceived = 0
    this.#sockets.tcpInformation(socket, information)
    const { bytesAcknowledged, bytesReceived } = information
    const fromGuest = distance(counted.firstFromGuest, receiver.seqFromGuest) - (isEnding(toHost) ? 1 : 0)
    const toGuest = distance(counted.firstToGuest, sender.seqToGuestHighest) - (fromHost === FromHost.ended ? 1 : 0)
    counted.bytesFromGuest = atLeast(bytesAcknowledged - 1, fromGuest)
    counted.bytesToGuest = atMost(bytesReceived, toGuest)
  }

  /** Returns what a connection has carried, as far as an observer was there from its beginning. */
  of(flow: FlowIndex): FlowTotals {
    const counted = this.#counted.get(flow)
    if (counted === undefined) return {}
    const { bytesFromGuest, bytesToGuest } = counted
    return { bytesFromGuest, bytesToGuest }
  }

  /** A flow has ended. */
  end(flow: FlowIndex): void {
    this.#counted.remove(flow)
  }
}

/** Returns the least number that is `number` modulo 2³² and not less than `least`, nor negative. */
function atLeast(least: number, number: number): number {
  const from = Math.max(least, 0)
  return from + ((number - from) >>> 0)
}

/** Returns the greatest number that is `number` modulo 2³² and not more than `most`; at least 0. */
function atMost(most: number, number: number): number {
  const low = number >>> 0
  return most < low ? low : most - ((most - low) >>> 0)
}
