import { type Arena, FrameBatch, type Link, Segmentation, type SegmentationId } from "@demiflow/core"

/** A frame as a link moves it, with the work that is left to the link. */
export interface LinkFrame {
  readonly bytes: Uint8Array
  readonly segmentation: SegmentationId
  readonly segmentSize: number
  readonly headerLength: number
  readonly checksumStart: number
  readonly checksumOffset: number
}

/** A copy of a frame of a batch. */
export function copyLinkFrame(arena: Arena, batch: FrameBatch, index: number): LinkFrame {
  const offset = batch.offset[index]
  return {
    bytes: arena.bytes.slice(offset, offset + batch.length[index]),
    segmentation: batch.segmentation[index] as SegmentationId,
    segmentSize: batch.segmentSize[index],
    headerLength: batch.headerLength[index],
    checksumStart: batch.checksumStart[index],
    checksumOffset: batch.checksumOffset[index],
  }
}

const SPACE = 131_072
const BATCH = 64

/** One end of a link with frames as byte arrays, for a guest or a test. */
export class LinkEnd {
  readonly link: Link
  readonly #batch = new FrameBatch(BATCH)
  readonly #space: number

  /** Reserves 128 KiB of the link's arena. */
  constructor(link: Link) {
    this.link = link
    this.#space = link.arena.reserve(SPACE)
  }

  /** Sends a frame, with no work left to the link by default. False if the link refused it. */
  send(frame: Partial<LinkFrame> & Pick<LinkFrame, "bytes">): boolean {
    const batch = this.#batch
    const offset = this.#space + this.link.capabilities.headroom
    this.link.arena.bytes.set(frame.bytes, offset)
    batch.setPlain(0, offset, frame.bytes.length)
    batch.segmentation[0] = frame.segmentation ?? Segmentation.none
    batch.segmentSize[0] = frame.segmentSize ?? 0
    batch.headerLength[0] = frame.headerLength ?? 0
    batch.checksumStart[0] = frame.checksumStart ?? 0
    batch.checksumOffset[0] = frame.checksumOffset ?? 0
    batch.count = 1
    return this.link.send(batch, 0, 1) === 1
  }

  /** Takes all frames that wait. */
  receive(): LinkFrame[] {
    const batch = this.#batch
    const frames: LinkFrame[] = []
    while (this.link.receive(batch) > 0) {
      for (let index = 0; index < batch.count; index++) frames.push(copyLinkFrame(this.link.arena, batch, index))
    }
    return frames
  }
}
