import type { Arena, DropReason, Drops, FrameBatch, Link, LinkCapabilities } from "@demiflow/core"
import { Offload, type TunTapDevice } from "./device.ts"
import { TunTapError } from "./errors.ts"
import { FrameIo } from "./frame-io.ts"

/** Options of a {@link TapLink}. */
export interface TapLinkOptions {
  /** Largest IP packet of one frame: the MTU that the interface has, or gets. 65520 if absent. */
  readonly mtu?: number
  /** Counts frames that the kernel refuses, or that can't be read. */
  readonly drops?: Drops
}

const TCP_SEGMENTATION = Offload.tcp4 | Offload.tcp6
const UDP_SEGMENTATION = Offload.udp4 | Offload.udp6

/**
 * A tap device as a link: the guest is whatever uses the interface at the other end.
 *
 * With offloads in use, checksums are partial in both directions, and TCP and UDP payload stays together up to 64 KiB,
 * whatever the MTU. The kernel segments it, or takes it whole where its own stack is the receiver. A frame marked
 * VIRTIO_NET_HDR_F_NEEDS_CSUM, with the sum of the pseudo-header in the checksum field, is accepted as valid. On frames
 * that we write, the mark "verified" alone (DATA_VALID) is ignored.
 */
export class TapLink implements Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  readonly device: TunTapDevice
  readonly #io: FrameIo
  readonly #drops: Drops | undefined
  readonly #refusedReason: DropReason | undefined
  readonly #unreadReason: DropReason | undefined
  #refused = 0
  #unread = 0

  constructor(device: TunTapDevice, options: TapLinkOptions = {}) {
    if (!device.isTap) {
      throw new TunTapError(
        "ERR_TUN_TAP_MISUSE",
        `"${device.name}" is a TUN device: a link of frames needs a TAP device`,
      )
    }
    this.device = device
    this.arena = device.arena
    this.#io = new FrameIo(device)
    this.#drops = options.drops
    this.#refusedReason = options.drops?.reason("tap: refused by the kernel")
    this.#unreadReason = options.drops?.reason("tap: can't be read")
    const has = (bits: number): boolean => (device.offloads & bits) === bits
    this.capabilities = {
      mtu: options.mtu ?? 65_520,
      headroom: device.virtioHeaderBytes,
      checksumOffload: has(Offload.checksum),
      tcpSegmentation: has(TCP_SEGMENTATION),
      udpSegmentation: has(UDP_SEGMENTATION),
      // The kernel at the other end takes frames of any length.
      smallestFrame: 0,
    }
  }

  /** To be watched for being readable, level-triggered; always writable. */
  get descriptor(): number {
    return this.device.descriptor
  }

  receive(batch: FrameBatch): number {
    const count = this.#io.receive(batch)
    if (this.#io.unread !== this.#unread) this.#countUnread()
    return count
  }

  send(batch: FrameBatch, first: number, count: number): number {
    const taken = this.#io.send(batch, first, count)
    if (this.#io.refused !== this.#refused) this.#countRefused()
    return taken
  }

  close(): void {
    this.device.close()
  }

  #countUnread(): void {
    const { unread } = this.#io
    if (this.#unreadReason !== undefined) this.#drops?.count(this.#unreadReason, unread - this.#unread)
    this.#unread = unread
  }

  #countRefused(): void {
    const refused = this.#io.refused
    if (this.#refusedReason !== undefined) this.#drops?.count(this.#refusedReason, refused - this.#refused)
    this.#refused = refused
  }
}
