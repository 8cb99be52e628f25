/** The addresses of an IPv6 header on its way from the guest. */
import { type Demiflow, IPV6_SOURCE, IPV6_TARGET } from "@demiflow/core"
import { type InboundReasons, PASSED, type Verdict } from "./inbound-reasons.ts"

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

/** Whether a packet may travel between the addresses of the header at the arena offset: groups are no sources. */
export function checkV6Addresses(view: DataView, network: number, reasons: InboundReasons): Verdict {
  if (view.getUint8(network + IPV6_SOURCE) === 0xff) return reasons.v6Source
  const verdict = checkAddress(view, network + IPV6_SOURCE, reasons)
  return verdict === PASSED ? checkAddress(view, network + IPV6_TARGET, reasons) : verdict
}

/** Addresses that never travel on a link: RFC 4291, section 2.5.3, and IPv4-mapped ones, that would pass for IPv4. */
function checkAddress(view: DataView, offset: number, reasons: InboundReasons): Verdict {
  if (view.getInt32(offset) !== 0 || view.getInt32(offset + 4) !== 0) return PASSED
  const word2 = view.getInt32(offset + 8)
  if (word2 === MAPPED_PREFIX) return reasons.v6Mapped
  return word2 === 0 && view.getInt32(offset + 12) === 1 ? reasons.v6Loopback : PASSED
}
