import { describe, expect, it, vi } from "vitest"
import { arena, native, pretendDevice, scratch } from "./test-support.ts"

function send(descriptor: number, ...bytes: number[]): void {
  arena.bytes.set(bytes, scratch + 64)
  expect(native.write(descriptor, scratch + 64, bytes.length)).toBe(bytes.length)
}

describe("a device, frame by frame", () => {
  it("reads frames that waited and frames that come later, and ends when it is closed", async () => {
    const { device, kernelEnd } = pretendDevice(0)
    send(kernelEnd, 1, 2, 3)
    send(kernelEnd, 4)
    const seen: number[][] = []
    for await (const frame of device) {
      seen.push([...frame])
      if (seen.length === 2) setImmediate(() => send(kernelEnd, 5, 6))
      if (seen.length === 3) setImmediate(() => device.close())
    }
    expect(seen).toEqual([[1, 2, 3], [4], [5, 6]])
    expect(device.isOpen).toBe(false)
    expect(() => device.read()).toThrow("has been closed")
    native.close(kernelEnd)
  })

  it("keeps frames that were read apart from those that come after", async () => {
    const { device, kernelEnd } = pretendDevice(0)
    send(kernelEnd, 1)
    const first = await device.read()
    send(kernelEnd, 2)
    const second = await device.read()
    expect([first?.[0], second?.[0]]).toEqual([1, 2])
    device.close()
    native.close(kernelEnd)
  })

  it("answers reads in the order in which they were asked", async () => {
    const { device, kernelEnd } = pretendDevice(0)
    const reads = [device.read(), device.read(), device.read()]
    send(kernelEnd, 1)
    send(kernelEnd, 2)
    expect((await reads[0])?.[0]).toBe(1)
    expect((await reads[1])?.[0]).toBe(2)
    device.close()
    expect(await reads[2]).toBeUndefined()
    native.close(kernelEnd)
  })

  it("passes over a frame that can't be read", async () => {
    const { device, kernelEnd } = pretendDevice(0)
    const readFrames = vi.spyOn(native, "readFrames").mockImplementationOnce((...[, , , , lengths]) => {
      arena.words[lengths >> 2] = -22
      return 1
    })
    send(kernelEnd, 1)
    expect((await device.read())?.[0]).toBe(1)
    expect(readFrames).toHaveBeenCalledTimes(2)
    readFrames.mockRestore()
    device.close()
    native.close(kernelEnd)
  })

  it("leaves frames with the kernel when nobody takes them, and gets them all later", async () => {
    const { device, kernelEnd } = pretendDevice(0)
    let sent = 0
    const sendUntilFull = (): void => {
      for (let written = 0; written >= 0; sent += 1) {
        arena.view.setInt32(scratch + 64, sent)
        written = native.write(kernelEnd, scratch + 64, 4)
        if (written < 0) return
      }
    }
    sendUntilFull()
    await device.read()
    let seen = 1
    // The queue is bounded, so the kernel's buffer fills up eventually.
    for (let before = -1; before !== sent; ) {
      before = sent
      await new Promise((resolve) => setImmediate(resolve))
      sendUntilFull()
    }
    const total = sent
    for (; seen < total; seen++) {
      const frame = await device.read()
      expect(new DataView(frame?.buffer as ArrayBuffer).getInt32(0)).toBe(seen)
    }
    device.close()
    native.close(kernelEnd)
  })

  it("writes, says when there was no room, and what went wrong", () => {
    const { device, kernelEnd } = pretendDevice(0)
    expect(device.write(Uint8Array.of(7, 8, 9))).toBe(true)
    expect(native.read(kernelEnd, scratch, 100)).toBe(3)
    expect([...arena.bytes.subarray(scratch, scratch + 3)]).toEqual([7, 8, 9])
    const large = new Uint8Array(60_000)
    let taken = 0
    while (device.write(large)) taken += 1
    expect(taken).toBeGreaterThan(0)
    expect(() => device.write(new Uint8Array(65_665))).toThrow("at most 65664 bytes")
    native.close(kernelEnd)
    expect(() => device.write(large)).toThrow(
      /Could not write 60000 bytes to the device "pretend": (broken pipe|connection reset)/,
    )
    device.close()
    expect(() => device.write(large)).toThrow("has been closed")
  })

  it("does not mix with offloads", () => {
    const { device, kernelEnd } = pretendDevice(10)
    expect(() => device.write(new Uint8Array(60))).toThrow("uses offloads")
    expect(() => device.read()).toThrow("uses offloads")
    device.close()
    native.close(kernelEnd)
  })

  it("uses arena space again that closed devices had", async () => {
    const before = arena.remaining
    for (let index = 0; index < 50; index++) {
      const { device, kernelEnd } = pretendDevice(0)
      device.write(Uint8Array.of(1))
      device.close()
      native.close(kernelEnd)
    }
    expect(before - arena.remaining).toBeLessThan(1 << 20)
  })
})
