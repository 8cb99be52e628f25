import { execFileSync } from "node:child_process"
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Arena, FrameBatch } from "@demiflow/core"
import { memoryLinkPair } from "@demiflow/tap"
import { expect, it, vi } from "vitest"
import { captureTo } from "./capture.ts"

it("a capture that can't be written any more ends with one warning, and the packets go on", () => {
  const warning = vi.fn()
  const arena = new Arena(8 << 20)
  const [near, far] = memoryLinkPair(arena, arena)
  // Can be opened, and is full from the first byte on.
  const link = captureTo("/dev/full", near, { warning })
  const batch = new FrameBatch(1)
  for (let count = 0; count < 3; count++) {
    batch.setPlain(0, arena.reserve(64), 60)
    expect(link.send(batch, 0, 1)).toBe(1)
    expect(far.receive(batch)).toBe(1)
  }
  expect(warning).toHaveBeenCalledTimes(1)
  expect(warning.mock.calls[0][0]).toContain("/dev/full")
})

it("a pipe whose reader is slow misses whole packets, of which one warning is logged, and nothing waits", () => {
  const folder = mkdtempSync(join(tmpdir(), "capture-"))
  const path = join(folder, "pipe")
  execFileSync("mkfifo", [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const warning = vi.fn()
  const arena = new Arena(8 << 20)
  const [near, far] = memoryLinkPair(arena, arena)
  const link = captureTo(path, near, { warning })
  const batch = new FrameBatch(1)
  const frame = arena.reserve(1500)
  const pass = (length: number) => {
    batch.setPlain(0, frame, length)
    link.send(batch, 0, 1)
    far.receive(batch)
  }
  const bytes = Buffer.alloc(1 << 20)
  let count = 0
  const read = () => {
    try {
      for (let taken = 1; taken > 0; count += taken) taken = readSync(reader, bytes, count, bytes.length - count, null)
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe("EAGAIN")
    }
  }
  // More than a pipe holds. A record of 1,516 bytes is at times larger than the remaining room.
  for (let packet = 0; packet < 100; packet++) pass(1500)
  read()
  for (let packet = 0; packet < 3; packet++) pass(60)
  read()
  const lengths: number[] = []
  let at = 24
  for (; at < count; at += 16 + bytes.readUInt32LE(at + 8)) lengths.push(bytes.readUInt32LE(at + 12))
  expect(at).toBe(count)
  expect(lengths.slice(-3)).toEqual([60, 60, 60])
  expect(lengths.length).toBeLessThan(100)
  expect(warning.mock.calls).toEqual([
    [expect.stringMatching(/^Packets are missing in the capture .*pipe: its reader/)],
  ])
  closeSync(reader)
  rmSync(folder, { recursive: true })
})
