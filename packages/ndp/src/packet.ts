import { Address, ICMP_CODE, ICMP_HEADER_LENGTH, ICMP_TYPE, Icmpv6Type, MacAddress } from "@demiflow/core"
import {
  NdpOption,
  NEIGHBOUR_FLAGS,
  NEIGHBOUR_OPTIONS,
  NEIGHBOUR_TARGET,
  OPTION_HEADER,
  OPTION_LENGTH,
  OPTION_TYPE,
  OPTION_UNIT,
  SOLICITATION_OPTIONS,
} from "./wire.ts"

/** The ways in which a message can be malformed. */
export type NdpMalformation = "truncated" | "code" | "option length" | "target" | "message type"

/**
 * A message, or what is wrong with it. The link-layer address of a solicitation is the source's, that of an
 * advertisement the target's.
 */
export type ParsedNdp =
  | { readonly kind: "routerSolicitation"; readonly linkLayer: MacAddress | undefined }
  | { readonly kind: "neighbourSolicitation"; readonly target: Address; readonly linkLayer: MacAddress | undefined }
  | {
      readonly kind: "neighbourAdvertisement"
      readonly target: Address
      readonly flags: number
      readonly linkLayer: MacAddress | undefined
    }
  | { readonly kind: "malformed"; readonly reason: NdpMalformation }

/** The ICMPv6 types that RFC 4861 defines. */
export const NDP_MESSAGE_TYPES: readonly number[] = [
  Icmpv6Type.routerSolicitation,
  Icmpv6Type.routerAdvertisement,
  Icmpv6Type.neighbourSolicitation,
  Icmpv6Type.neighbourAdvertisement,
  Icmpv6Type.redirect,
]

/**
 * Reads the message between two offsets. Checks lengths, code, options and target as RFC 4861, sections 6.1 and 7.1,
 * require; the caller checks addresses and hop limit.
 */
export function parseNdp(view: DataView, offset: number, end: number): ParsedNdp {
  if (end - offset < ICMP_HEADER_LENGTH) return malformed("truncated")
  const type = view.getUint8(offset + ICMP_TYPE)
  const optionsAt = optionsOffset(type)
  // RFC 4861 6.1.2 SHOULD: router advertisements from the guest, which is no router of the link, count for nothing
  // RFC 4861 8.1 SHOULD: nor do its redirects
  if (optionsAt === undefined) return malformed("message type")
  // RFC 4861 7.1.1 (length) MUST: a neighbour solicitation has 24 bytes or more
  if (end - offset < optionsAt) return malformed("truncated")
  // RFC 4861 7.1.1 (code) MUST: discard a message whose code is not 0
  if (view.getUint8(offset + ICMP_CODE) !== 0) return malformed("code")
  const isAdvertisement = type === Icmpv6Type.neighbourAdvertisement
  const wanted = isAdvertisement ? NdpOption.targetLinkLayer : NdpOption.sourceLinkLayer
  const options = readLinkLayer(view, offset + optionsAt, end, wanted)
  if (options === undefined) return malformed("option length")
  const { linkLayer } = options
  if (type === Icmpv6Type.routerSolicitation) return { kind: "routerSolicitation", linkLayer }
  const target = new Address().readV6(view, offset + NEIGHBOUR_TARGET)
  // RFC 4861 7.1.1 (target) MUST: the target of a solicitation is no group
  // RFC 4861 7.1.2 (target) MUST: the target of an advertisement is no group
  if (target.isMulticast) return malformed("target")
  if (!isAdvertisement) return { kind: "neighbourSolicitation", target, linkLayer }
  return { kind: "neighbourAdvertisement", target, flags: view.getUint8(offset + NEIGHBOUR_FLAGS), linkLayer }
}

function malformed(reason: NdpMalformation): ParsedNdp {
  return { kind: "malformed", reason }
}

/** Returns undefined for messages that no guest may send: the guest isn't a router of this link. */
function optionsOffset(type: number): number | undefined {
  switch (type) {
    case Icmpv6Type.routerSolicitation:
      return SOLICITATION_OPTIONS
    case Icmpv6Type.neighbourSolicitation:
    case Icmpv6Type.neighbourAdvertisement:
      return NEIGHBOUR_OPTIONS
    default:
      return undefined
  }
}

/** Reads the link-layer option of this type. Returns undefined if an option has length 0 or ends beyond `end`. */
function readLinkLayer(
  view: DataView,
  start: number,
  end: number,
  wanted: number,
): { linkLayer: MacAddress | undefined } | undefined {
  let linkLayer: MacAddress | undefined
  let position = start
  while (position < end) {
    if (end - position < OPTION_UNIT) return undefined
    const length = view.getUint8(position + OPTION_LENGTH) * OPTION_UNIT
    // RFC 4861 4.6 MUST: a message with an option of length 0 is discarded
    if (length === 0 || length > end - position) return undefined
    // RFC 4861 6.1.1 (options) MUST: options that are not known are skipped, and the message counts
    if (view.getUint8(position + OPTION_TYPE) === wanted)
      linkLayer = new MacAddress().read(view, position + OPTION_HEADER)
    position += length
  }
  return { linkLayer }
}

/** Length of a neighbour solicitation, and of an advertisement, with our Ethernet address, bytes. */
export const NEIGHBOUR_SOLICITATION_LENGTH: number = NEIGHBOUR_OPTIONS + OPTION_UNIT
export const NEIGHBOUR_ADVERTISEMENT_LENGTH: number = NEIGHBOUR_OPTIONS + OPTION_UNIT

/** Writes a neighbour solicitation except its checksum: {@link NEIGHBOUR_SOLICITATION_LENGTH} bytes. */
export function writeNeighbourSolicitation(view: DataView, offset: number, target: Address, mac: MacAddress): void {
  writeNeighbourMessage(view, offset, Icmpv6Type.neighbourSolicitation, 0, target)
  writeLinkLayer(view, offset + NEIGHBOUR_OPTIONS, NdpOption.sourceLinkLayer, mac)
}

/** Writes a neighbour advertisement except its checksum: {@link NEIGHBOUR_ADVERTISEMENT_LENGTH} bytes. */
export function writeNeighbourAdvertisement(
  view: DataView,
  offset: number,
  target: Address,
  flags: number,
  mac: MacAddress,
): void {
  writeNeighbourMessage(view, offset, Icmpv6Type.neighbourAdvertisement, flags, target)
  writeLinkLayer(view, offset + NEIGHBOUR_OPTIONS, NdpOption.targetLinkLayer, mac)
}

function writeNeighbourMessage(view: DataView, offset: number, type: number, flags: number, target: Address): void {
  view.setUint32(offset + ICMP_TYPE, type << 24)
  view.setUint32(offset + NEIGHBOUR_FLAGS, flags << 24)
  target.writeV6(view, offset + NEIGHBOUR_TARGET)
}

function writeLinkLayer(view: DataView, offset: number, type: number, mac: MacAddress): void {
  view.setUint8(offset + OPTION_TYPE, type)
  view.setUint8(offset + OPTION_LENGTH, 1)
  mac.write(view, offset + OPTION_HEADER)
}
