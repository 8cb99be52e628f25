/**
 * Packets built by hand, layer by layer: `buildFrame(ethernet(), ipv4({ … }), tcp({ … }), payload("GET /"))`.
 *
 * Every field that follows from the rest (lengths, checksums, the next protocol) is filled in. Every field can be
 * overridden: a wrong length, a wrong checksum, an unknown option.
 */
import { type Address, foldSum, IpProtocol, sumBytes } from "@demiflow/core"
import { type BytesLike, toBytes } from "../bytes.ts"

/** One layer of a packet. A third party's protocol can be a layer, too: it only needs `build`. */
export interface Layer {
  /** This layer's type in the Ethernet header. */
  readonly etherType?: number
  /** This layer's protocol number in the IP header before it. */
  readonly ipProtocol?: number
  /** The addresses for the pseudo-header of the layers inside. */
  readonly pseudoHeader?: { readonly source: Address; readonly target: Address }
  /**
   * Returns the layer's bytes, with those of the layers inside.
   *
   * @param inner the bytes of the layers inside
   * @param outer the layers around, outermost first
   * @param next the layer right inside, if any
   */
  build(inner: Uint8Array, outer: readonly Layer[], next: Layer | undefined): Uint8Array
}

/** The bytes of a packet: the outermost layer first. */
export function buildPacket(...layers: readonly Layer[]): Uint8Array {
  return buildInside(layers, 0)
}

/** The bytes of the layers from `depth` on, as inside the other layers. */
export function buildInside(layers: readonly Layer[], depth: number): Uint8Array {
  let bytes: Uint8Array = new Uint8Array(0)
  for (let index = layers.length - 1; index >= depth; index--) {
    bytes = layers[index].build(bytes, layers.slice(0, index), layers[index + 1])
  }
  return bytes
}

/** The layers with other bytes from `depth` on. The headers around describe these bytes as if they were valid. */
export function replaceInside(layers: readonly Layer[], depth: number, bytes: Uint8Array): readonly Layer[] {
  const { etherType, ipProtocol } = layers[depth] ?? {}
  return [...layers.slice(0, depth), { etherType, ipProtocol, build: () => bytes }]
}

/** Raw bytes, such as application data. */
export function payload(content: BytesLike): Layer {
  const bytes = toBytes(content)
  return { build: (inner) => join(bytes, inner) }
}

/** `length` bytes of payload in a pattern that reveals misplaced bytes. */
export function patternPayload(length: number, start = 0): Layer {
  return payload(patternBytes(length, start))
}

/** Bytes of a stream whose byte at each position is known, from position `start` on. */
export function patternBytes(length: number, start = 0): Uint8Array {
  // 251 is prime, so the pattern doesn't repeat at a power of two. The square makes the periods differ.
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index++) {
    const position = start + index
    bytes[index] = (position % 251) ^ (Math.floor(position / 251) & 0xff)
  }
  return bytes
}

/** The header followed by its content. */
export function join(header: Uint8Array, inner: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(header.length + inner.length)
  bytes.set(header)
  bytes.set(inner, header.length)
  return bytes
}

/** The folded sum of the innermost network layer's pseudo-header; 0 without one. */
export function pseudoHeaderSum(outer: readonly Layer[], protocol: number, length: number): number {
  const addresses = [...outer].reverse().find((layer) => layer.pseudoHeader !== undefined)?.pseudoHeader
  return addresses === undefined ? 0 : sumOfPseudoHeader(addresses.source, addresses.target, protocol, length)
}

/** The folded sum of a pseudo-header (RFC 9293, section 3.1; RFC 8200, section 8.1). */
export function sumOfPseudoHeader(source: Address, target: Address, protocol: number, length: number): number {
  const bytes = join(source.toBytes(), target.toBytes())
  return foldSum(sumBytes(viewOf(bytes), 0, bytes.length, 0) + protocol + (length >>> 16) + (length & 0xffff))
}

/** The folded sum of bytes. */
export function sumOf(bytes: Uint8Array, initial = 0): number {
  return sumBytes(viewOf(bytes), 0, bytes.length, initial)
}

/** A view of exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** IP protocol numbers of IPv6 extension headers that have the usual form. */
export const EXTENSION_HEADERS: readonly number[] = [
  IpProtocol.hopByHop,
  IpProtocol.routing,
  IpProtocol.destinationOptions,
]
