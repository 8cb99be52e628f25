import { FrameBatch, Segmentation, type SegmentationId } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readVirtioHeader, writeVirtioHeader } from "./virtio-header.ts"

describe("virtio header", () => {
  const view = new DataView(new ArrayBuffer(64))
  const batch = new FrameBatch(4)

  it("of a plain frame is all zeros, whatever was there", () => {
    for (const bytes of [10, 12]) {
      new Uint8Array(view.buffer).fill(0xaa)
      batch.setPlain(1, 0, 60)
      writeVirtioHeader(view, 3, bytes, batch, 1)
      expect([...new Uint8Array(view.buffer, 3, bytes)]).toEqual(new Array(bytes).fill(0))
      expect(view.getUint8(3 + bytes)).toBe(0xaa)
    }
  })

  it("has the kernel's layout", () => {
    batch.setPlain(0, 0, 3000)
    batch.segmentation[0] = Segmentation.tcp6
    batch.headerLength[0] = 74
    batch.segmentSize[0] = 1440
    batch.checksumStart[0] = 54
    batch.checksumOffset[0] = 16
    writeVirtioHeader(view, 0, 10, batch, 0)
    expect([...new Uint8Array(view.buffer, 0, 10)]).toEqual([1, 4, 74, 0, 1440 & 255, 1440 >> 8, 54, 0, 16, 0])
  })

  it("is read as it was written", () => {
    const segmentation = fc.constantFrom<SegmentationId>(...Object.values(Segmentation))
    const short = fc.integer({ min: 0, max: 65_535 })
    fc.assert(
      fc.property(segmentation, short, short, short, short, (type, headerLength, size, start, offset) => {
        batch.setPlain(2, 0, 100)
        batch.segmentation[2] = type
        batch.headerLength[2] = headerLength
        batch.segmentSize[2] = size
        batch.checksumStart[2] = start
        batch.checksumOffset[2] = offset
        writeVirtioHeader(view, 0, 12, batch, 2)
        batch.setPlain(3, 0, 100)
        readVirtioHeader(view, 0, batch, 3)
        const isCut = type !== Segmentation.none
        expect(batch.segmentation[3]).toBe(type)
        expect(batch.headerLength[3]).toBe(isCut ? headerLength : 0)
        expect(batch.segmentSize[3]).toBe(isCut ? size : 0)
        expect(batch.checksumStart[3]).toBe(start)
        expect(batch.checksumOffset[3]).toBe(start > 0 ? offset : 0)
        expect(batch.checksumTrusted[3]).toBe(start > 0 ? 1 : 0)
      }),
    )
  })

  it("reads a verified checksum, and takes TCP with ECN for TCP", () => {
    view.setUint16(0, 0x0281)
    readVirtioHeader(view, 0, batch, 0)
    expect(batch.checksumTrusted[0]).toBe(1)
    expect(batch.checksumStart[0]).toBe(0)
    expect(batch.segmentation[0]).toBe(Segmentation.tcp4)
    view.setUint16(0, 0x0084)
    readVirtioHeader(view, 0, batch, 0)
    expect(batch.checksumTrusted[0]).toBe(0)
    expect(batch.segmentation[0]).toBe(Segmentation.tcp6)
  })
})
