/**
 * The guest's end of layer 2: something that moves batches of Ethernet frames.
 *
 * A frontend (another hypervisor, an emulator in a browser, a test harness) is a link. So is a wrapper around a link,
 * which writes a capture or injects faults.
 */
import type { Arena } from "./arena.ts"

/**
 * The capabilities of a link: one object for the link's life. Those for offloads change where the other end negotiates
 * them, as a virtual machine does with each start, and are read for each packet. The others are constant.
 */
export interface LinkCapabilities {
  /** Largest IP packet that one frame carries, bytes, except for frames with several segments. */
  readonly mtu: number
  /** Bytes of the arena that the link needs free before each frame we send. */
  readonly headroom: number
  /** True if frames may have only a partial transport checksum, both sent and received. */
  readonly checksumOffload: boolean
  /** True if a frame may carry TCP segments of up to 64 KiB together, both sent and received. */
  readonly tcpSegmentation: boolean
  /** True if a frame we send may carry several UDP datagrams, to be split in equal sizes. */
  readonly udpSegmentation: boolean
  /**
   * Minimum length of the frames we send, bytes: shorter ones are padded with zeros. 60 if absent, Ethernet's minimum
   * for a frame without its check sequence (IEEE 802.3, section 4.2.3.3): network cards and their emulations drop
   * shorter ones.
   */
  readonly smallestFrame?: number
}

/** See {@link LinkCapabilities.smallestFrame}. */
export const SMALLEST_FRAME = 60

/** How a frame's transport payload must be cut, or would have been without offload. */
export const Segmentation = { none: 0, tcp4: 1, tcp6: 2, udp: 3 } as const
export type SegmentationId = (typeof Segmentation)[keyof typeof Segmentation]

/** Frames in the arena. The first `count` entries are filled. */
export class FrameBatch {
  readonly capacity: number
  count = 0
  /** Arena offset of the Ethernet header. */
  readonly offset: Int32Array
  /** Bytes from the Ethernet header on, without frame check sequence. */
  readonly length: Int32Array
  /** A {@link SegmentationId}. */
  readonly segmentation: Uint8Array
  /** Payload bytes of each segment, unless `segmentation` is none. */
  readonly segmentSize: Int32Array
  /** Bytes of all headers, unless `segmentation` is none (sending only). */
  readonly headerLength: Int32Array
  /**
   * Bytes from the Ethernet header to the start of a checksum that is still to be completed; 0 if the frame's checksums
   * are complete. The checksum field then holds the folded sum of the pseudo-header.
   */
  readonly checksumStart: Int32Array
  /** Bytes from `checksumStart` to the checksum field. */
  readonly checksumOffset: Int32Array
  /** Receiving: 1 if the link vouches for the transport checksum. */
  readonly checksumTrusted: Uint8Array

  constructor(capacity: number) {
    this.capacity = capacity
    this.offset = new Int32Array(capacity)
    this.length = new Int32Array(capacity)
    this.segmentation = new Uint8Array(capacity)
    this.segmentSize = new Int32Array(capacity)
    this.headerLength = new Int32Array(capacity)
    this.checksumStart = new Int32Array(capacity)
    this.checksumOffset = new Int32Array(capacity)
    this.checksumTrusted = new Uint8Array(capacity)
  }

  /** Sets the fields of frame `index` to those of a plain frame with complete checksums. */
  setPlain(index: number, offset: number, length: number): void {
    this.offset[index] = offset
    this.length[index] = length
    this.segmentation[index] = Segmentation.none
    this.segmentSize[index] = 0
    this.headerLength[index] = 0
    this.checksumStart[index] = 0
    this.checksumOffset[index] = 0
    this.checksumTrusted[index] = 0
  }
}

/** A frontend. */
export interface Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  /**
   * True while frames wait for the other end to take them; absent: never. Frames may still be sent while the link has
   * room to hold them. The owner of the loop calls `Stack.resume` when this is over.
   */
  readonly isCongested?: boolean
  /**
   * True once the guest is gone: `receive` returns the frames that wait, and then the error number. A stack that has
   * received frames asks again then. Absent on a link whose descriptor stays readable at the end.
   */
  readonly isOver?: boolean
  /**
   * Fills the batch with waiting frames, from index 0, and sets its `count`. Frames stay valid until the next call.
   * Returns the count (0: none now; call again when the link is readable), or a negative error number if the link is
   * gone for good.
   */
  receive(batch: FrameBatch): number
  /**
   * Sends frames `first` to `first + count - 1`. Returns the number taken; the rest may be offered again once the link
   * is writable. A frame that the other end refuses counts as taken (the link counts it as a drop).
   */
  send(batch: FrameBatch, first: number, count: number): number
  /** Releases the link's resources. Later calls do nothing. */
  close(): void
}
