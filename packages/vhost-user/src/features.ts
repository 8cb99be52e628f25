/**
 * Features: what the two sides agree on.
 *
 * Those of the device are bits of virtio 1.3 (sections 5.1.3 and 6), with two of vhost-user among them; those of the
 * protocol are vhost-user's own. The back end offers a set, and the front end acknowledges any part of it.
 */
import { Segmentation, type SegmentationId } from "@demiflow/core"
import { VirtioSegmentation } from "@demiflow/sys"

/** Bit numbers of the device's features. Names in comments are those of the standard. */
export const VhostUserFeature = {
  /** VIRTIO_NET_F_CSUM: frames of the guest may have a partial checksum. */
  checksumFromGuest: 0,
  /** VIRTIO_NET_F_GUEST_CSUM: frames to the guest may. */
  checksumToGuest: 1,
  /** VIRTIO_NET_F_MTU */
  mtu: 3,
  /** VIRTIO_NET_F_GUEST_TSO4: frames to the guest may have several TCP segments. */
  tcp4ToGuest: 7,
  /** VIRTIO_NET_F_GUEST_TSO6 */
  tcp6ToGuest: 8,
  /** VIRTIO_NET_F_GUEST_ECN: also with CWR. */
  ecnToGuest: 9,
  /** VIRTIO_NET_F_HOST_TSO4: frames of the guest may have several TCP segments. */
  tcp4FromGuest: 11,
  /** VIRTIO_NET_F_HOST_TSO6 */
  tcp6FromGuest: 12,
  /** VIRTIO_NET_F_HOST_ECN */
  ecnFromGuest: 13,
  /** VIRTIO_NET_F_MRG_RXBUF: a frame to the guest may fill several chains. */
  mergedChains: 15,
  /** VIRTIO_NET_F_GUEST_ANNOUNCE: after a migration, the guest announces itself. The front end has it do so. */
  guestAnnounces: 21,
  /** VHOST_F_LOG_ALL: written pages are logged. */
  log: 26,
  /** VIRTIO_F_ANY_LAYOUT, for drivers older than virtio 1: a header needs no buffer of its own. */
  anyLayout: 27,
  /** VIRTIO_F_INDIRECT_DESC */
  indirect: 28,
  /** VIRTIO_F_EVENT_IDX */
  eventIndex: 29,
  /** VHOST_USER_F_PROTOCOL_FEATURES: there are features of the protocol. */
  protocolFeatures: 30,
  /** VIRTIO_F_VERSION_1 */
  version1: 32,
  /** VIRTIO_NET_F_GUEST_USO4: frames to the guest may have several UDP datagrams. */
  udp4ToGuest: 54,
  /** VIRTIO_NET_F_GUEST_USO6 */
  udp6ToGuest: 55,
  /** VIRTIO_NET_F_HOST_USO: frames of the guest may have several UDP datagrams. */
  udpFromGuest: 56,
} as const

/** Bit numbers of the protocol's features, VHOST_USER_PROTOCOL_F_…. */
export const ProtocolFeature = {
  /** MQ: the number of queues may be asked for. It is one pair. */
  queueCount: 0,
  /** LOG_SHMFD: the log comes as a descriptor. */
  logDescriptor: 1,
  /** REPLY_ACK: any request may ask for a reply. */
  replies: 3,
  /** NET_MTU */
  mtu: 4,
  /** RESET_DEVICE */
  reset: 13,
  /** CONFIGURE_MEM_SLOTS: memory comes and goes region by region. */
  memorySlots: 15,
  /** STATUS */
  status: 16,
} as const

/** All features that the back end has. */
export const SUPPORTED_FEATURES: bigint = maskOf(VhostUserFeature)
/** All features of the protocol that the back end has. */
export const SUPPORTED_PROTOCOL_FEATURES: bigint = maskOf(ProtocolFeature)

/** True if the set contains the bit. */
export function hasFeature(features: bigint, bit: number): boolean {
  return ((features >> BigInt(bit)) & 1n) !== 0n
}

/** Bytes of the virtio header, 5.1.6: shorter for drivers older than virtio 1 without merged chains. */
export function headerBytesOf(features: bigint): 10 | 12 {
  const { version1, mergedChains } = VhostUserFeature
  return hasFeature(features, version1) || hasFeature(features, mergedChains) ? 12 : 10
}

/** What frames may need of the receiver, by direction, as agreed on. */
export class Offloads {
  /** True if frames to the guest may have a partial checksum. */
  readonly checksumToGuest: boolean
  /** True if frames of the guest may. */
  readonly checksumFromGuest: boolean
  /** By core's `Segmentation`: 1 if frames to the guest may have it. */
  readonly toGuest: Uint8Array = new Uint8Array(4)
  /** By the header's segmentation type: 1 if frames of the guest may have it. */
  readonly fromGuest: Uint8Array = new Uint8Array(256)

  constructor(features: bigint) {
    const has = (bit: number): boolean => hasFeature(features, bit)
    const bits = VhostUserFeature
    this.checksumToGuest = has(bits.checksumToGuest)
    this.checksumFromGuest = has(bits.checksumFromGuest)
    this.toGuest[Segmentation.none] = 1
    this.fromGuest[VirtioSegmentation.none] = 1
    // 5.1.3.1: segmentation requires the checksum.
    if (this.checksumToGuest) {
      this.#allowToGuest(Segmentation.tcp4, has(bits.tcp4ToGuest))
      this.#allowToGuest(Segmentation.tcp6, has(bits.tcp6ToGuest))
      this.#allowToGuest(Segmentation.udp, has(bits.udp4ToGuest) && has(bits.udp6ToGuest))
    }
    if (this.checksumFromGuest) {
      const ecn = has(bits.ecnFromGuest)
      this.#allowFromGuest(VirtioSegmentation.tcp4, has(bits.tcp4FromGuest), ecn)
      this.#allowFromGuest(VirtioSegmentation.tcp6, has(bits.tcp6FromGuest), ecn)
      this.#allowFromGuest(VirtioSegmentation.udp, has(bits.udpFromGuest), false)
    }
  }

  /** True if frames to the guest may have several TCP segments, whatever the version of IP. */
  get tcpToGuest(): boolean {
    return this.toGuest[Segmentation.tcp4] === 1 && this.toGuest[Segmentation.tcp6] === 1
  }

  /** True if frames to the guest may have several UDP datagrams. */
  get udpToGuest(): boolean {
    return this.toGuest[Segmentation.udp] === 1
  }

  #allowToGuest(kind: SegmentationId, isAllowed: boolean): void {
    if (isAllowed) this.toGuest[kind] = 1
  }

  #allowFromGuest(type: number, isAllowed: boolean, withEcn: boolean): void {
    if (!isAllowed) return
    this.fromGuest[type] = 1
    if (withEcn) this.fromGuest[type | VirtioSegmentation.ecn] = 1
  }
}

function maskOf(bits: Readonly<Record<string, number>>): bigint {
  return Object.values(bits).reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n)
}
