/** Builders for TCP, UDP, ICMP and ICMPv6. */
import {
  finishChecksum,
  finishUdpChecksum,
  ICMP_HEADER_LENGTH,
  IcmpType,
  Icmpv6Type,
  IpProtocol,
  UDP_HEADER_LENGTH,
} from "@demiflow/core"
import { join, type Layer, pseudoHeaderSum, sumOf, viewOf } from "./layer.ts"
import { encodeTcpOptions, type TcpOptions } from "./tcp-options.ts"

/** The letters for TCP flags, lowest bit first: FIN SYN RST PSH ACK URG ECE CWR. */
export const TCP_FLAG_LETTERS = "FSRPAUEC"

/** The bits for flags given as letters, such as `SA`. Throws `RangeError` for another letter. */
export function tcpFlagBits(letters: string): number {
  let bits = 0
  for (const letter of letters) {
    const bit = TCP_FLAG_LETTERS.indexOf(letter)
    if (bit < 0) throw new RangeError(`"${letter}" is no TCP flag: the letters are ${TCP_FLAG_LETTERS}`)
    bits |= 1 << bit
  }
  return bits
}

/** Fields of a TCP header (RFC 9293, section 3.1). Numbers are host order; sequence numbers modulo 2^32. */
export interface TcpFields {
  readonly sourcePort: number
  readonly targetPort: number
  /** Letters, see {@link TCP_FLAG_LETTERS}. */
  readonly flags?: string
  readonly sequence?: number
  readonly acknowledgement?: number
  /** As in the field, not scaled. */
  readonly window?: number
  /** Known options, or bytes. */
  readonly options?: TcpOptions | Uint8Array
  readonly urgent?: number
  /** Header length in words of four bytes. */
  readonly dataOffset?: number
  readonly checksum?: number
}

/** A TCP header. */
export function tcp(fields: TcpFields): Layer {
  return {
    ipProtocol: IpProtocol.tcp,
    build(inner, outer) {
      const options = fields.options instanceof Uint8Array ? fields.options : encodeTcpOptions(fields.options ?? {})
      const header = new Uint8Array(20 + ((options.length + 3) & ~3))
      const view = viewOf(header)
      view.setUint16(0, fields.sourcePort)
      view.setUint16(2, fields.targetPort)
      view.setUint32(4, fields.sequence ?? 0)
      view.setUint32(8, fields.acknowledgement ?? 0)
      view.setUint8(12, (fields.dataOffset ?? header.length / 4) << 4)
      view.setUint8(13, tcpFlagBits(fields.flags ?? ""))
      view.setUint16(14, fields.window ?? 0xffff)
      view.setUint16(18, fields.urgent ?? 0)
      header.set(options, 20)
      const segment = join(header, inner)
      const sum = sumOf(segment, pseudoHeaderSum(outer, IpProtocol.tcp, segment.length))
      viewOf(segment).setUint16(16, fields.checksum ?? finishChecksum(sum))
      return segment
    },
  }
}

/** Fields of a UDP header (RFC 768). */
export interface UdpFields {
  readonly sourcePort: number
  readonly targetPort: number
  readonly length?: number
  /** 0 for "none". */
  readonly checksum?: number
}

/** A UDP header. */
export function udp(fields: UdpFields): Layer {
  return {
    ipProtocol: IpProtocol.udp,
    build(inner, outer) {
      const header = new Uint8Array(UDP_HEADER_LENGTH)
      const view = viewOf(header)
      view.setUint16(0, fields.sourcePort)
      view.setUint16(2, fields.targetPort)
      view.setUint16(4, fields.length ?? header.length + inner.length)
      const datagram = join(header, inner)
      const sum = sumOf(datagram, pseudoHeaderSum(outer, IpProtocol.udp, datagram.length))
      viewOf(datagram).setUint16(6, fields.checksum ?? finishUdpChecksum(sum))
      return datagram
    },
  }
}

/** Fields of an ICMP or ICMPv6 header. */
export interface IcmpFields {
  readonly type: number
  readonly code?: number
  /** The four bytes behind the checksum. */
  readonly information?: number
  readonly checksum?: number
}

/** An ICMP message (RFC 792). */
export function icmp(fields: IcmpFields): Layer {
  return icmpLayer(IpProtocol.icmp, fields)
}

/** An ICMPv6 message (RFC 4443). */
export function icmpv6(fields: IcmpFields): Layer {
  return icmpLayer(IpProtocol.icmpv6, fields)
}

/** An echo request of the given family. */
export function echoRequest(family: 4 | 6, identifier: number, sequence: number): Layer {
  const information = (identifier << 16) | sequence
  if (family === 4) return icmp({ type: IcmpType.echoRequest, information })
  return icmpv6({ type: Icmpv6Type.echoRequest, information })
}

function icmpLayer(ipProtocol: number, fields: IcmpFields): Layer {
  return {
    ipProtocol,
    build(inner, outer) {
      const header = new Uint8Array(ICMP_HEADER_LENGTH)
      const view = viewOf(header)
      view.setUint8(0, fields.type)
      view.setUint8(1, fields.code ?? 0)
      view.setInt32(4, fields.information ?? 0)
      const message = join(header, inner)
      // Only ICMPv6 has a pseudo-header in its checksum (RFC 4443, section 2.3).
      const initial = ipProtocol === IpProtocol.icmp ? 0 : pseudoHeaderSum(outer, ipProtocol, message.length)
      viewOf(message).setUint16(2, fields.checksum ?? finishChecksum(sumOf(message, initial)))
      return message
    },
  }
}
