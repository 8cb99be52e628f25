/**
 * The guest's end of layer 2: something that moves batches of Ethernet frames.
 *
 * A frontend (another hypervisor, an emulator in a browser, a test harness) is a link; wrapping a link, to write a
 * capture or to inject faults, gives a link.
 */
import type { Arena } from "./arena.ts"

/** What a link can do for us. */
export interface LinkCapabilities {
  /** Largest IP packet that one frame carries, bytes (segments left together excepted). */
  readonly mtu: number
  /** Bytes that the link needs free in the arena before each frame we send. */
  readonly headroom: number
  /** True if frames may be sent with only a partial transport checksum, and come like that. */
  readonly checksumOffload: boolean
  /** True if TCP segments of up to 64 KiB may be sent and are received in one frame. */
  readonly tcpSegmentation: boolean
  /** True if UDP datagrams may be sent left together, to be split in equal sizes. */
  readonly udpSegmentation: boolean
  /**
   * Bytes that every frame we send has at least: shorter ones are padded with zeros. 60 if absent, what Ethernet wants of a
   * frame without its check sequence (IEEE 802.3, section 4.2.3.3): network cards and what emulates them drop shorter ones.
   */
  readonly smallestFrame?: number
}

/** See {@link LinkCapabilities.smallestFrame}. */
export const SMALLEST_FRAME = 60

/** How a frame's transport payload is to be cut, or was left together. */
export const Segmentation = { none: 0, tcp4: 1, tcp6: 2, udp: 3 } as const
export type SegmentationId = (typeof Segmentation)[keyof typeof Segmentation]

/** Frames in the arena. Filled up to `count`. */
export class FrameBatch {
  readonly capacity: number
  count = 0
  /** Arena offset of the Ethernet header. */
  readonly offset: Int32Array
  /** Bytes from the Ethernet header on, without frame check sequence. */
  readonly length: Int32Array
  /** A {@link SegmentationId}. */
  readonly segmentation: Uint8Array
  /** Payload bytes of each segment, where `segmentation` isn't none. */
  readonly segmentSize: Int32Array
  /** Bytes of all headers, where `segmentation` isn't none (sending only). */
  readonly headerLength: Int32Array
  /**
   * Bytes from the Ethernet header to where a checksum has to start that is still to be completed; 0 if the frame's
   * checksums are complete. The field then holds the folded sum of the pseudo-header.
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
   * True while frames wait that the other end hasn't taken; absent: never. Frames may still be sent, as far as the link has
   * room for what waits. The owner of the loop calls `Stack.resume` when this is over.
   */
  readonly isCongested?: boolean
  /**
   * Fills the batch with frames that wait, from index 0, and sets its `count`. Frames stay valid until the next call.
   * Answers the count (0: none now; call again when the link is readable), or a negative error number if the link is
   * gone for good.
   */
  receive(batch: FrameBatch): number
  /**
   * Sends frames `first` to `first + count - 1`. Answers how many were taken; the rest may be offered again once the
   * link is writable. A frame that the other end refuses counts as taken (and is counted by the link as a drop).
   */
  send(batch: FrameBatch, first: number, count: number): number
  /** Releases what the link holds. Later calls do nothing. */
  close(): void
}
