import {
  type Arena,
  type DropReason,
  ICMP_CODE,
  ICMP_HEADER_LENGTH,
  ICMP_TYPE,
  IcmpType,
  Icmpv6Type,
  IpProtocol,
  type Sequence,
  transportChecksumIsRight,
} from "@demiflow/core"
import type { IcmpReasons } from "./reasons.ts"

/** Returned by {@link checkEchoRequest} for a request with no problem. */
export const SOUND = -1

const LAST_ICMPV6_ERROR_TYPE = 127
const MULTICAST_LISTENER_QUERY = 130
const MULTICAST_LISTENER_REPORT_V2 = 143

/**
 * True for messages of neighbour discovery (RFC 4861) or multicast listener discovery (RFC 2710, RFC 3810): they
 * concern the link between the guest and us, and are for other handlers. One such message decides for the whole
 * sequence: a lost echo request does less harm.
 */
export function isAboutTheLink(arena: Arena, sequence: Sequence): boolean {
  if (sequence.protocol !== IpProtocol.icmpv6) return false
  for (let index = 0; index < sequence.count; index++) {
    const offset = sequence.transportOffset[index]
    if (offset >= sequence.endOffset[index]) continue
    const type = arena.view.getUint8(offset + ICMP_TYPE)
    if (type >= MULTICAST_LISTENER_QUERY && type <= Icmpv6Type.redirect) return true
    if (type === MULTICAST_LISTENER_REPORT_V2) return true
  }
  return false
}

/** Checks that a packet of a sequence is an echo request that can be forwarded (RFC 792; RFC 4443, section 4.1). */
export function checkEchoRequest(
  arena: Arena,
  sequence: Sequence,
  index: number,
  reasons: IcmpReasons,
): DropReason | typeof SOUND {
  const isV4 = sequence.demiflow.isV4
  if (isV4 !== (sequence.protocol === IpProtocol.icmp)) return reasons.wrongVersion
  const offset = sequence.transportOffset[index]
  if (sequence.endOffset[index] - offset < ICMP_HEADER_LENGTH) return reasons.truncated
  if (sequence.checksumTrusted[index] === 0 && !transportChecksumIsRight(arena, sequence, index)) {
    // RFC 4443 2.1 MUST: a message whose checksum is wrong is not handled
    return reasons.checksum
  }
  // RFC 1122 3.2.1.7 MUST NOT: no datagram has a time to live of 0
  if (sequence.hopLimit[index] === 0) return reasons.hopLimit
  const type = arena.view.getUint8(offset + ICMP_TYPE)
  if (isError(type, isV4)) return reasons.errorFromGuest
  const isRequest = type === (isV4 ? IcmpType.echoRequest : Icmpv6Type.echoRequest)
  // RFC 1122 3.2.2 (unknown) MUST: a message of a type that is not known is discarded in silence
  return isRequest && arena.view.getUint8(offset + ICMP_CODE) === 0 ? SOUND : reasons.unsupported
}

function isError(type: number, isV4: boolean): boolean {
  if (!isV4) return type <= LAST_ICMPV6_ERROR_TYPE
  return (
    type === IcmpType.destinationUnreachable || type === IcmpType.timeExceeded || type === IcmpType.parameterProblem
  )
}
