import {
  type Address,
  type Arena,
  type Demiflow,
  Errno,
  ErrorOrigin,
  IcmpType,
  IcmpUnreachable,
  Icmpv6Type,
  Icmpv6Unreachable,
  type SocketError,
} from "@demiflow/core"

/** One entry of an error queue, before it is copied out. */
export interface QueuedError {
  readonly errno: number
  readonly origin: number
  readonly icmpType: number
  readonly icmpCode: number
  readonly information: number
  readonly reporter: Address
  readonly source: Address
  readonly destination: Address
  readonly destinationPort: number
  readonly payload: Uint8Array
}

/** The obstacle that a packet met in the network. */
export type Report = "portUnreachable" | "hostUnreachable" | "tooBig" | "timeExceeded"

/** The report about it: an error number, and type and code of either ICMP. */
const reports: Readonly<Record<Report, { errno: number; v4: [number, number]; v6: [number, number] }>> = {
  portUnreachable: {
    errno: Errno.ECONNREFUSED,
    v4: [IcmpType.destinationUnreachable, IcmpUnreachable.port],
    v6: [Icmpv6Type.destinationUnreachable, Icmpv6Unreachable.port],
  },
  hostUnreachable: {
    errno: Errno.EHOSTUNREACH,
    v4: [IcmpType.destinationUnreachable, IcmpUnreachable.host],
    v6: [Icmpv6Type.destinationUnreachable, Icmpv6Unreachable.address],
  },
  tooBig: {
    errno: Errno.EMSGSIZE,
    v4: [IcmpType.destinationUnreachable, IcmpUnreachable.fragmentationNeeded],
    v6: [Icmpv6Type.packetTooBig, 0],
  },
  timeExceeded: {
    errno: Errno.EHOSTUNREACH,
    v4: [IcmpType.timeExceeded, 0],
    v6: [Icmpv6Type.timeExceeded, 0],
  },
}

/** Maximum bytes of the original that a report quotes. */
const QUOTE_LIMIT = 512

/** The error queue entry for a report about a packet that was sent on a host side. */
export function queuedError(
  what: Report,
  sent: Demiflow,
  reporter: Address,
  information: number,
  payload: Uint8Array,
): QueuedError {
  const { errno, v4, v6 } = reports[what]
  const [icmpType, icmpCode] = sent.isV4 ? v4 : v6
  return {
    errno,
    origin: sent.isV4 ? ErrorOrigin.icmp : ErrorOrigin.icmpv6,
    icmpType,
    icmpCode,
    information,
    reporter: reporter.clone(),
    source: sent.forwardingAddress.clone(),
    destination: sent.correspondentAddress.clone(),
    destinationPort: sent.correspondentPort,
    payload: payload.subarray(0, QUOTE_LIMIT),
  }
}

/** Copies an entry out, its payload to `offset` in the arena. */
export function copyOut(entry: QueuedError, into: SocketError, arena: Arena, offset: number): void {
  into.errno = entry.errno
  into.origin = entry.origin
  into.icmpType = entry.icmpType
  into.icmpCode = entry.icmpCode
  into.information = entry.information
  into.reporter.copyFrom(entry.reporter)
  into.source.copyFrom(entry.source)
  into.destination.copyFrom(entry.destination)
  into.destinationPort = entry.destinationPort
  into.payloadOffset = offset
  into.payloadLength = entry.payload.length
  arena.bytes.set(entry.payload, offset)
}
