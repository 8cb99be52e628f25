/** The addresses in IPv6 headers from the guest. */
import { type Demiflow, IPV6_SOURCE, IPV6_TARGET } from "@demiflow/core"
import { type FromGuestReasons, PASSED, type Verdict } from "./reasons.ts"

const MAPPED_PREFIX = 0x0000ffff

/** True if the header at the arena offset has the addresses of the demiflow. */
export function hasV6Addresses(view: DataView, network: number, demiflow: Demiflow): boolean {
  const { correspondentAddress: source, forwardingAddress: target } = demiflow
  return (
    source.word3 === view.getInt32(network + IPV6_SOURCE + 12) &&
    source.word2 === view.getInt32(network + IPV6_SOURCE + 8) &&
    source.word1 === view.getInt32(network + IPV6_SOURCE + 4) &&
    source.word0 === view.getInt32(network + IPV6_SOURCE) &&
    target.word3 === view.getInt32(network + IPV6_TARGET + 12) &&
    target.word2 === view.getInt32(network + IPV6_TARGET + 8) &&
    target.word1 === view.getInt32(network + IPV6_TARGET + 4) &&
    target.word0 === view.getInt32(network + IPV6_TARGET)
  )
}

/** Checks that a packet may have the addresses in the header at the arena offset. A group is no source. */
export function checkV6Addresses(view: DataView, network: number, reasons: FromGuestReasons): Verdict {
  // RFC 4291 2.7 MUST: a group is no source
  if (view.getUint8(network + IPV6_SOURCE) === 0xff) return reasons.v6Source
  const verdict = checkAddress(view, network + IPV6_SOURCE, reasons)
  return verdict === PASSED ? checkAddress(view, network + IPV6_TARGET, reasons) : verdict
}

/**
 * Checks for addresses that never appear on a link: loopback (RFC 4291, section 2.5.3), and IPv4-mapped ones, which
 * would be taken for IPv4.
 */
function checkAddress(view: DataView, offset: number, reasons: FromGuestReasons): Verdict {
  if (view.getInt32(offset) !== 0 || view.getInt32(offset + 4) !== 0) return PASSED
  const word2 = view.getInt32(offset + 8)
  if (word2 === MAPPED_PREFIX) return reasons.v6Mapped
  // RFC 4291 2.5.3 MUST: a packet from outside with the loopback address is dropped
  return word2 === 0 && view.getInt32(offset + 12) === 1 ? reasons.v6Loopback : PASSED
}
