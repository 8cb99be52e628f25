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

/** The answer of {@link checkEchoRequest}: nothing is wrong with it. */
export const SOUND = -1

const LAST_ICMPV6_ERROR_TYPE = 127
const MULTICAST_LISTENER_QUERY = 130
const MULTICAST_LISTENER_REPORT_V2 = 143

/**
 * True for messages of neighbour discovery (RFC 4861) or multicast listener discovery (RFC 2710, RFC 3810): they speak of
 * the link between the guest and us, and are for other handlers. One among others decides for all of them: an echo
 * request is missed less.
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

/** Checks that a packet of a sequence is an echo request that can go on (RFC 792; RFC 4443, section 4.1). */
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
    return reasons.checksum
  }
  if (sequence.hopLimit[index] === 0) return reasons.hopLimit
  const type = arena.view.getUint8(offset + ICMP_TYPE)
  if (isError(type, isV4)) return reasons.errorFromGuest
  const isRequest = type === (isV4 ? IcmpType.echoRequest : Icmpv6Type.echoRequest)
  return isRequest && arena.view.getUint8(offset + ICMP_CODE) === 0 ? SOUND : reasons.unsupported
}

function isError(type: number, isV4: boolean): boolean {
  if (!isV4) return type <= LAST_ICMPV6_ERROR_TYPE
  return (
    type === IcmpType.destinationUnreachable || type === IcmpType.timeExceeded || type === IcmpType.parameterProblem
  )
}
