// A ring whose other side is played here, by file access: frames at the very end of the arena.
import assert from "node:assert/strict"
import { once } from "node:events"
import { closeSync, ftruncateSync, openSync, readFileSync, readSync, unlinkSync, writeSync } from "node:fs"
import { constants } from "node:os"
import { Worker } from "node:worker_threads"
import { bytes, get, native, put, size } from "./arena.mjs"

const { EFAULT } = constants.errno
const PAGES = 65_536
const NAME = `demiflow-exercise-${process.pid}`

function openFile() {
  const path = `/dev/shm/${NAME}`
  const file = openSync(path, "wx+")
  unlinkSync(path)
  ftruncateSync(file, PAGES)
  return file
}

/** Stores 16-bit integers in a file. */
function store(file, position, ...values) {
  writeSync(file, Uint16Array.from(values), 0, values.length * 2, position)
}

/** One region from address 0 on, and a ring of four entries at its beginning. */
function openRing(file, chainsAt) {
  const memory = native.memoryCreate()
  put(0, 0, 0, PAGES, 0, 0, 0, 0, 0)
  assert.equal(native.memoryAdd(memory, file, 0), 0)
  // The flags are for the log: of buffers and of the used ring.
  put(1, 0, 0, 4096, 0, 8192, 0, 8192, 0, 4, 0, 12, chainsAt)
  return { memory, ring: native.ringOpen(memory, 1) }
}

export function moveThroughRings() {
  const file = openFile()
  const { memory, ring } = openRing(file, -1)
  // Address, length, flags and next, of two descriptors that are a chain of 3,000 bytes.
  store(file, 0, 16_384, 0, 0, 0, 1000, 0, 1, 1, 32_768, 0, 0, 0, 2000, 0, 0, 0)
  writeSync(file, Buffer.alloc(3000, 5), 0, 3000, 16_384)
  writeSync(file, Buffer.alloc(2000, 6), 0, 2000, 32_768)
  store(file, 4096, 0, 1, 0)
  assert.equal(native.ringTake(ring, size - 3000, 3000, 3000, 1, 101), 1)
  assert.equal(get(101), 3000)
  assert.deepEqual([bytes[size - 3000], bytes[size - 2000], bytes[size - 1]], [5, 6, 6])
  assert.equal(native.ringClose(ring), 0)

  // Now both descriptors are writable.
  const back = openRing(file, 0)
  put(65, 2, 0, PAGES - 2, 0)
  assert.equal(native.memoryLog(back.memory, file, 65), 0)
  store(file, 12, 3)
  store(file, 28, 2)
  store(file, 4096, 0, 1, 0)
  store(file, 8192, 0, 0)
  bytes.fill(9, size - 1500)
  put(33, size - 1500, 1500)
  assert.equal(native.ringGive(back.ring, 33, 1), 1)
  const frame = Buffer.alloc(1500)
  readSync(file, frame, 0, 1000, 16_384)
  readSync(file, frame, 1000, 500, 32_768)
  assert.deepEqual([...frame.subarray(0, 2)], [1, 0])
  assert.ok(frame.subarray(2).every((byte) => byte === 9))
  readSync(file, frame, 0, 2, PAGES - 2)
  assert.deepEqual([...frame.subarray(0, 2)], [(1 << 2) | (1 << 4), 1 << 0])

  ftruncateSync(file, 0)
  assert.equal(native.ringHas(back.ring), -EFAULT)
  for (const each of [memory, back.memory]) assert.equal(native.memoryClose(each), 0)
  assert.equal(native.ringHas(back.ring), -EFAULT)
  closeSync(file)
}

/** A thread that ends with memory and a ring open. */
export async function leaveRingsToThread() {
  const file = openFile()
  const script = `const { workerData } = require("node:worker_threads")
    const module = { exports: {} }
    process.dlopen(module, workerData.addon)
    const native = module.exports
    const record = new BigUint64Array([0n, ${PAGES}n, 0n, 0n, 4n, 0xffffffff00000000n, 0n, 4096n, 8192n])
    native.attach(record.buffer)
    if (native.memoryCreate() !== 0 || native.memoryAdd(0, workerData.file, 0) !== 0) throw new Error("no memory")
    record.set([0n, 4096n, 8192n, 0n, 4n, 0xffffffff00000000n])
    if (native.ringOpen(0, 0) !== 0) throw new Error("no ring")`
  const worker = new Worker(script, { eval: true, workerData: { addon: process.argv[2], file } })
  await once(worker, "exit")
  const maps = readFileSync("/proc/self/maps", "utf8")
  assert.ok(!maps.includes(NAME), "memory of a thread that is gone")
  closeSync(file)
}
