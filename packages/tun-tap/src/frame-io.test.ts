import { Drops, FrameBatch, Segmentation } from "@demiflow/core"
import { afterEach, describe, expect, it, vi } from "vitest"
import { Offload, TunTapDevice } from "./device.ts"
import { FrameIo } from "./frame-io.ts"
import { TapLink } from "./tap-link.ts"
import { arena, native, pretendDevice, scratch } from "./test-support.ts"

const batch = new FrameBatch(256)
const outgoing = scratch + 4096
const { device, kernelEnd } = pretendDevice(10, 0x7f)
const io = new FrameIo(device)

function kernelSends(...lengths: number[]): void {
  for (const [index, length] of lengths.entries()) {
    arena.bytes.fill(0, scratch, scratch + 10)
    arena.bytes.fill(index + 1, scratch + 10, scratch + length)
    expect(native.write(kernelEnd, scratch, length)).toBe(length)
  }
}

function kernelReceives(): Uint8Array[] {
  const frames: Uint8Array[] = []
  for (;;) {
    const length = native.read(kernelEnd, scratch, 100_000)
    if (length < 0) return frames
    frames.push(arena.bytes.slice(scratch, scratch + length))
  }
}

function receiveAll(target: FrameIo): number[] {
  const lengths: number[] = []
  while (target.receive(batch) > 0) lengths.push(...batch.length.subarray(0, batch.count))
  return lengths
}

describe("reading frames", () => {
  afterEach(() => vi.restoreAllMocks())

  it("gives each frame behind its header, in order, with its content", () => {
    const own = new FrameIo(device)
    for (let round = 0; round < 20; round++) {
      kernelSends(70, 110, 65_000, 24, 64 + 10)
      const seen: [length: number, first: number, last: number][] = []
      while (own.receive(batch) > 0) {
        for (let index = 0; index < batch.count; index++) {
          const [offset, length] = [batch.offset[index], batch.length[index]]
          seen.push([length, arena.bytes[offset], arena.bytes[offset + length - 1]])
        }
      }
      expect(seen).toEqual([
        [60, 1, 1],
        [100, 2, 2],
        [64_990, 3, 3],
        [14, 4, 4],
        [64, 5, 5],
      ])
    }
  })

  it("asks for one frame, without trying for a second, until there are always more", () => {
    const readFrames = vi.spyOn(native, "readFrames")
    const own = new FrameIo(device)
    for (let round = 0; round < 7; round++) {
      kernelSends(60)
      expect(own.receive(batch)).toBe(1)
    }
    expect(readFrames.mock.calls.map((call) => call[3])).toEqual([1, 1, 1, 1, 1, 1, 1])
    readFrames.mockClear()
    kernelSends(...new Array(100).fill(60))
    expect(receiveAll(own)).toHaveLength(100)
    expect(readFrames.mock.calls.map((call) => call[3])).toEqual([1, 2, 4, 8, 16, 32, 64, 37])
    readFrames.mockClear()
    kernelSends(60)
    expect(own.receive(batch)).toBe(1)
    expect(readFrames.mock.calls.map((call) => call[3])).toEqual([1])
  })

  it("never asks for more than the batch takes", () => {
    const small = new FrameBatch(3)
    const own = new FrameIo(device, 8)
    kernelSends(...new Array(60).fill(60))
    let total = 0
    while (own.receive(small) > 0) {
      expect(small.count).toBeLessThanOrEqual(3)
      total += small.count
    }
    expect(total).toBe(60)
  })

  it("leaves out what is too short to have a frame", () => {
    const own = new FrameIo(device)
    kernelSends(...new Array(8).fill(60))
    receiveAll(own)
    kernelSends(10, 74, 5, 75, 0)
    const lengths: number[] = []
    for (let call = 0; call < 5; call++) {
      own.receive(batch)
      lengths.push(...batch.length.subarray(0, batch.count))
    }
    expect(lengths).toEqual([64, 65])
  })
})

/** Simulates reads: each returns a frame of that many bytes, or fails with that negated errno. */
function kernelAnswers(...results: number[]): void {
  vi.spyOn(native, "readFrames").mockImplementation((_descriptor, offset, _room, maximum, lengthsOffset) => {
    let frame = offset
    let count = 0
    while (count < maximum && results.length > 0) {
      const [length] = results.splice(0, 1)
      arena.bytes.fill(0, frame, frame + 10)
      arena.words[(lengthsOffset >> 2) + count++] = length
      if (length <= 0) break
      frame += (length + 63) & -64
    }
    return count
  })
}

describe("a read that fails", () => {
  const [EIO, ENOMEM, EINVAL, EBADFD, EBADF] = [5, 12, 22, 77, 9]
  afterEach(() => vi.restoreAllMocks())

  it("for one frame is counted, and the next ones are read", () => {
    const drops = new Drops()
    const link = new TapLink(device, { drops })
    kernelAnswers(-EIO, 70, -ENOMEM, -EINVAL, 80)
    const seen = [1, 2, 3, 4, 5, 6].map(() => link.receive(batch))
    expect(seen).toEqual([0, 1, 0, 0, 1, 0])
    expect(drops.get("tap: can't be read")).toBe(3)
  })

  it.each([EBADFD, EBADF])("for good (%i) is reported, behind what came before", (errno) => {
    const own = new FrameIo(device, 8)
    kernelAnswers(...new Array(16).fill(70), -errno, -errno)
    let received = 0
    let last = 1
    while (last > 0) {
      last = own.receive(batch)
      if (last > 0) received += last
    }
    expect([received, last, own.unread]).toEqual([16, -errno, 0])
  })

  it("again and again is for good", () => {
    const own = new FrameIo(device, 8)
    kernelAnswers(...new Array(600).fill(-EINVAL), 70, ...new Array(1_001).fill(-EINVAL))
    let last = 0
    while (last >= 0) last = own.receive(batch)
    expect([last, own.unread]).toEqual([-EINVAL, 1_600])
  })
})

describe("writing frames", () => {
  it("puts a header before each", () => {
    for (let index = 0; index < 3; index++) {
      arena.bytes.fill(index + 1, outgoing + index * 1000, outgoing + index * 1000 + 100)
      batch.setPlain(index, outgoing + index * 1000, 60 + index)
    }
    batch.segmentation[1] = Segmentation.udp
    batch.segmentSize[1] = 10
    batch.headerLength[1] = 42
    batch.checksumStart[1] = 34
    batch.checksumOffset[1] = 6
    expect(io.send(batch, 1, 2)).toBe(2)
    const frames = kernelReceives()
    expect(frames.map((frame) => frame.length)).toEqual([71, 72])
    expect([...frames[0].subarray(0, 11)]).toEqual([1, 5, 42, 0, 10, 0, 34, 0, 6, 0, 2])
    expect([...frames[1].subarray(0, 11)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3])
  })

  it("writes more than one native call does", () => {
    for (let index = 0; index < 200; index++) batch.setPlain(index, outgoing, 60)
    let sent = 0
    let received = 0
    while (sent < 200) {
      sent += io.send(batch, sent, 200 - sent)
      received += kernelReceives().length
    }
    expect(received).toBe(200)
  })

  it("passes over a frame that is refused, counts it, and goes on behind it", () => {
    const drops = new Drops()
    const link = new TapLink(device, { drops })
    for (let index = 0; index < 5; index++) batch.setPlain(index, outgoing, 60 + index)
    batch.length[1] = 0x7fff_fff0
    batch.length[2] = 900_000 // more than a socket takes at once
    expect(link.send(batch, 0, 5)).toBe(5)
    expect(kernelReceives().map((frame) => frame.length)).toEqual([70, 73, 74])
    expect(drops.get("tap: refused by the kernel")).toBe(2)
    link.send(batch, 0, 1)
    expect(drops.total).toBe(2)
    kernelReceives()
  })

  it("stops where the kernel has no room, and goes on from there", () => {
    for (let index = 0; index < 256; index++) batch.setPlain(index, outgoing, 30_000)
    const taken = io.send(batch, 0, 256)
    expect(taken).toBeGreaterThan(0)
    expect(taken).toBeLessThan(256)
    expect(io.send(batch, taken, 256 - taken)).toBe(0)
    expect(kernelReceives()).toHaveLength(taken)
    expect(io.send(batch, taken, 1)).toBe(1)
    kernelReceives()
  })
})

describe("tap link", () => {
  it("reports what the device can do", () => {
    expect(new TapLink(device).capabilities).toEqual({
      mtu: 65_520,
      smallestFrame: 0,
      headroom: 10,
      checksumOffload: true,
      tcpSegmentation: true,
      udpSegmentation: true,
    })
    const plain = pretendDevice(0).device
    expect(new TapLink(plain, { mtu: 1500 }).capabilities).toEqual({
      mtu: 1500,
      smallestFrame: 0,
      headroom: 0,
      checksumOffload: false,
      tcpSegmentation: false,
      udpSegmentation: false,
    })
    const tcpOnly = pretendDevice(12, Offload.checksum | Offload.tcp4 | Offload.tcp6).device
    expect(new TapLink(tcpOnly).capabilities).toMatchObject({
      headroom: 12,
      tcpSegmentation: true,
      udpSegmentation: false,
    })
  })

  it("is made of a TAP device only", () => {
    const tun = new TunTapDevice({ ...device, native, arena, isTap: false })
    expect(() => new TapLink(tun)).toThrow("needs a TAP device")
  })

  it("reports a device that is gone, and a closed one", () => {
    const own = pretendDevice(0)
    const link = new TapLink(own.device)
    expect(link.receive(batch)).toBe(0)
    link.close()
    link.close()
    expect(link.receive(batch)).toBeLessThan(0)
    expect(batch.count).toBe(0)
    native.close(own.kernelEnd)
  })
})
