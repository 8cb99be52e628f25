import { formatEndpoint } from "@demiflow/core"
import type { ParsedFrame, ParsedIp } from "./parse.ts"

/** Describes a frame in one line, like a packet capture. */
export function describePacket(frame: ParsedFrame): string {
  const problems = frame.problems.length > 0 ? ` [${frame.problems.join("; ")}]` : ""
  return `${describeInner(frame)}${problems}`
}

function describeInner(frame: ParsedFrame): string {
  const { ip, tcp, udp, icmp, arp, payload } = frame
  if (arp !== undefined) {
    const what = arp.operation === 1 ? "request" : arp.operation === 2 ? "reply" : `operation ${arp.operation}`
    return `ARP ${what} ${arp.senderAddress} (${arp.senderMac}) → ${arp.targetAddress}`
  }
  if (ip === undefined) {
    const type = frame.ethernet === undefined ? "" : ` of type 0x${frame.ethernet.etherType.toString(16)}`
    return `frame${type}, ${frame.bytes.length} bytes`
  }
  const size = `${payload.length} bytes`
  if (tcp !== undefined) {
    const options = Object.keys(tcp.options).length > 0 ? ` ${JSON.stringify(tcp.options)}` : ""
    const numbers = `seq ${tcp.sequence} ack ${tcp.acknowledgement} win ${tcp.window}`
    return `TCP ${ends(ip, tcp)} [${tcp.flags}] ${numbers}${options}, ${size}`
  }
  if (udp !== undefined) return `UDP ${ends(ip, udp)}, ${size}`
  if (icmp !== undefined) {
    const quoted =
      icmp.quote === undefined ? "" : `, about ${describePacket({ ...icmp.quote, bytes: payload, problems: [] })}`
    const name = ip.version === 4 ? "ICMP" : "ICMPv6"
    return `${name} ${ip.source} → ${ip.target} type ${icmp.type} code ${icmp.code} (${icmp.information})${quoted}`
  }
  const fragment =
    ip.moreFragments || ip.fragmentOffset > 0 ? `, fragment ${ip.identification} at ${ip.fragmentOffset}` : ""
  return `IPv${ip.version} ${ip.source} → ${ip.target} protocol ${ip.protocol}${fragment}, ${size}`
}

function ends(ip: ParsedIp, ports: { readonly sourcePort: number; readonly targetPort: number }): string {
  return `${formatEndpoint(ip.source, ports.sourcePort)} → ${formatEndpoint(ip.target, ports.targetPort)}`
}
