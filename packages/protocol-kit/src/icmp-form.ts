import { Errno, ErrorOrigin, IcmpType, IcmpUnreachable, Icmpv6Type, Icmpv6Unreachable } from "@demiflow/core"

/** Result of {@link icmpForm}: there is no such error. */
export const NO_FORM = -1

/**
 * Returns type (upper byte) and code (lower byte) of the ICMP or ICMPv6 error that corresponds to an error number of
 * the host, or {@link NO_FORM}. Not for `EMSGSIZE`, which needs an MTU.
 *
 * @param errno positive
 */
export function icmpForm(errno: number, isV4: boolean): number {
  switch (errno) {
    case Errno.ECONNREFUSED:
      return isV4
        ? form(IcmpType.destinationUnreachable, IcmpUnreachable.port)
        : form(Icmpv6Type.destinationUnreachable, Icmpv6Unreachable.port)
    case Errno.EHOSTUNREACH:
    case Errno.EHOSTDOWN:
      return isV4
        ? form(IcmpType.destinationUnreachable, IcmpUnreachable.host)
        : form(Icmpv6Type.destinationUnreachable, Icmpv6Unreachable.address)
    case Errno.ENETUNREACH:
    case Errno.ENETDOWN:
      return isV4
        ? form(IcmpType.destinationUnreachable, IcmpUnreachable.net)
        : form(Icmpv6Type.destinationUnreachable, Icmpv6Unreachable.noRoute)
    case Errno.EPERM:
    // The address or interface that the user configured for leaving the host isn't there. No other ICMP error is
    // reported at once to programs that use UDP.
    case Errno.EADDRNOTAVAIL:
    case Errno.ENODEV:
      return isV4
        ? form(IcmpType.destinationUnreachable, IcmpUnreachable.administrativelyProhibited)
        : form(Icmpv6Type.destinationUnreachable, Icmpv6Unreachable.prohibited)
    case Errno.EACCES:
      // Over IPv4, Linux also returns this for a subnet's broadcast address, about which no error may be sent (RFC
      // 1122, section 3.2.2).
      return isV4 ? NO_FORM : form(Icmpv6Type.destinationUnreachable, Icmpv6Unreachable.prohibited)
    default:
      return NO_FORM
  }
}

/** Returns the same for "too big". */
export function tooBigForm(isV4: boolean): number {
  return isV4
    ? form(IcmpType.destinationUnreachable, IcmpUnreachable.fragmentationNeeded)
    : form(Icmpv6Type.packetTooBig, 0)
}

/**
 * True if an ICMP error of this type, received by the host over the same version of IP, is relayed to the guest
 * unchanged.
 */
export function isRelayed(origin: number, type: number, isV4: boolean): boolean {
  if (isV4) {
    return (
      origin === ErrorOrigin.icmp &&
      (type === IcmpType.destinationUnreachable || type === IcmpType.timeExceeded || type === IcmpType.parameterProblem)
    )
  }
  return (
    origin === ErrorOrigin.icmpv6 && type >= Icmpv6Type.destinationUnreachable && type <= Icmpv6Type.parameterProblem
  )
}

function form(type: number, code: number): number {
  return (type << 8) | code
}
