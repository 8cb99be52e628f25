// Valid arguments, at the edges of the arena where possible.
import assert from "node:assert/strict"
import { once } from "node:events"
import { constants } from "node:os"
import { Worker } from "node:worker_threads"
import { bytes, get, native, put, putLoopback, size } from "./arena.mjs"

const { EAGAIN, EBADF, ECHILD, EINPROGRESS, EINVAL, ENAMETOOLONG, ENOENT, EPIPE } = constants.errno

function closeAll(...descriptors) {
  for (const descriptor of descriptors) assert.equal(native.close(descriptor), 0)
}

export function sumAndCopy() {
  bytes.fill(0)
  bytes.set([1, 2, 3, 4, 5], 11)
  assert.equal(native.copy(11, 13, 5), 0)
  assert.deepEqual([...bytes.subarray(11, 18)], [1, 2, 1, 2, 3, 4, 5])
  assert.equal(native.getRandom(0, size), 0)
  assert.ok(bytes.some((byte) => byte !== 0))
  for (const length of [0, 1, 2, 63, 64, 127, 128, 129, 200, 1460, 65_535]) {
    for (let offset = size - length - 40; offset + length <= size; offset += 7) {
      assert.equal(native.checksum(offset, length, -1), native.checksumPortable(offset, length, -1))
    }
    assert.equal(native.checksum(size - length, length, 0), native.checksumPortable(size - length, length, 0))
  }
  bytes.fill(0xff)
  assert.equal(native.checksum(0, size, 0), native.checksumPortable(0, size, 0))
  const earlier = native.monotonicMicroseconds()
  assert.ok(earlier <= native.monotonicMicroseconds())
  assert.equal(native.storeMonotonic(8), 0)
  assert.ok(new Float64Array(bytes.buffer, 8, 1)[0] >= earlier)
  const word = native.monotonicWord()
  assert.ok(((native.monotonicWord() - word) | 0) >= 0)
}

export function moveFrames() {
  // Sequential packets: one frame per read, as with a tap.
  assert.equal(native.socketPair(1, 5, 0, 0), 0)
  const [reading, writing] = [get(0), get(4)]
  assert.equal(native.readFrames(reading, 64, 128, 8, 32), 0)
  put(1001, 2000, 10, 3000, 20, 4000, 30)
  bytes.fill(7, 2000, 5000)
  assert.equal(native.writeFrames(writing, 1001, 0), 0)
  assert.equal(native.writeFrames(writing, 1001, 3), 3)
  put(1001, 2000, 10, size, 20)
  assert.equal(native.writeFrames(writing, 1001, 2), 1)
  assert.equal(native.readFrames(reading, size - 512, 128, 4, 33), 4)
  assert.deepEqual([33, 37, 41, 45].map(get), [10, 20, 30, 10])
  assert.deepEqual(
    [0, 64, 128, 192].map((at) => bytes[size - 512 + at]),
    [7, 7, 7, 7],
  )
  assert.equal(native.readFrames(reading, size - 512, 128, 4, 33), 0)
  closeAll(writing)
  assert.equal(native.readFrames(reading, 0, 128, 8, 900), 1)
  assert.equal(get(900), 0)
  closeAll(reading)

  assert.equal(native.createPipe(0), 0)
  const [from, to] = [get(0), get(4)]
  assert.equal(native.read(from, 0, 10), -EAGAIN)
  assert.equal(native.write(to, 100, 50), 50)
  put(200, 300, 20, size - 5, 5)
  assert.equal(native.readVectors(from, 200, 2), 25)
  assert.equal(native.writeVectors(to, 200, 2), 25)
  assert.equal(native.read(from, size - 50, 50), 50)
  assert.ok(native.fileControl(from, 1032, 0) >= 4096)
  closeAll(from, to)
}

export function connect() {
  const listener = native.socket(2, 1, 0)
  putLoopback(0)
  assert.equal(native.bind(listener, 0, 16), 0)
  assert.equal(native.bind(listener, 0, 200), -EINVAL)
  assert.equal(native.listen(listener, 4), 0)
  assert.equal(native.accept(listener, 100, 28), -EAGAIN)
  assert.equal(native.getSocketName(listener, 0, 16), 16)
  const client = native.socket(2, 1, 0)
  assert.ok([0, -EINPROGRESS].includes(native.connect(client, 0, 16)))
  const server = native.accept(listener, size - 28, 28)
  assert.ok(server > 0)
  assert.equal(native.getPeerName(server, 32, 3), 16)
  put(200, 1000, 500, size - 500, 500)
  assert.equal(native.sendVectors(client, 200, 2, 0), 1000)
  assert.equal(native.receiveVectors(server, 200, 2, 2), 1000)
  assert.equal(native.ioctlGetInteger(server, 0x541b), 1000)
  assert.equal(native.discard(server, 600), 600)
  assert.equal(native.discard(server, 600), 400)
  assert.equal(native.discard(server, 600), -EAGAIN)
  assert.equal(native.setOptionInteger(client, 6, 1, 1), 0)
  assert.equal(native.getOptionInteger(client, 6, 1), 1)
  // An emulator of processors for programs (qemu-user) knows this option as an integer only.
  assert.ok(native.getOption(client, 6, 11, size - 256, 256) > (process.env.DEMIFLOW_EMULATED ? 0 : 100))
  put(300, 1, 0)
  assert.equal(native.setOption(client, 1, 13, 300, 8), 0)
  assert.equal(native.shutdown(client, 1), 0)
  assert.equal(native.discard(server, 600), 0)
  assert.equal(native.sendVectors(client, 200, 2, 0), -EPIPE)
  closeAll(client, server, listener)
}

export function sendDatagrams() {
  const receiver = native.socket(2, 2, 0)
  putLoopback(0)
  assert.equal(native.bind(receiver, 0, 16), 0)
  assert.equal(native.getSocketName(receiver, 0, 16), 16)
  const sender = native.socket(2, 2, 0)
  put(101, 1000, 30, 0, 16, 0, 0, 0, 0, 1030, 0, 0, 16, 0, 0, 0, 0)
  assert.equal(native.sendMessages(sender, 101, 2, 0), 2)
  assert.deepEqual([get(101 + 28), get(101 + 60)], [30, 0])
  put(1, size - 20, 20, size - 60, 28, 3000, 64, 0, 0, 4000, 20, 5000, 28, 6000, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
  assert.equal(native.receiveMessages(receiver, 1, 3, 0), 2)
  assert.equal(get(1 + 12), 16)
  assert.equal(get(1 + 24) & 0x20, 0x20, "the datagram was cut")
  assert.equal(get(1 + 28), 20)
  assert.equal(native.receiveMessages(receiver, 1, 1, 0), -EAGAIN)
  assert.equal(native.receiveMessages(receiver, 1, 1, 0x2000), -EAGAIN)
  closeAll(receiver, sender)
}

export function splice() {
  assert.equal(native.createPipe(0), 0)
  const [readEnd, writeEnd] = [get(0), get(4)]
  assert.equal(native.socketPair(1, 1 | 0o4000, 0, 8), 0)
  const [near, far] = [get(8), get(12)]
  assert.equal(native.splice(near, writeEnd, 100), -EAGAIN)
  assert.equal(native.write(far, 64, 10), 10)
  assert.equal(native.splice(near, writeEnd, 100), 10)
  assert.equal(native.splice(readEnd, near, 4), 4)
  assert.equal(native.splice(readEnd, near, 100), 6)
  assert.equal(native.splice(readEnd, near, 100), -EAGAIN)
  assert.equal(native.read(far, 64, 100), 10)
  closeAll(far)
  assert.equal(native.splice(near, writeEnd, 100), 0)
  closeAll(near, readEnd, writeEnd)
}

export function wait() {
  const epoll = native.epollCreate()
  const event = native.createEvent(0)
  assert.equal(native.epollControl(epoll, 1, event, 1, -5), 0)
  assert.equal(native.epollWait(epoll, 0, 8, 0), 0)
  assert.equal(native.epollWaitMicroseconds(epoll, 0, 8, 100), 0)
  put(0, 1, 0)
  assert.equal(native.write(event, 0, 8), 8)
  assert.equal(native.epollWaitMicroseconds(epoll, size - 8, 1, -1), 1)
  assert.deepEqual([get(size - 8), get(size - 4)], [1, -5])
  assert.equal(native.epollWait(epoll, 0, 256, -1), 1)
  assert.equal(native.epollWait(epoll, 0, 257, 0), 1)
  assert.equal(native.epollControl(epoll, 2, event, 0, 0), 0)
  assert.equal(native.epollControl(epoll, 2, event, 0, 0), -ENOENT)
  closeAll(event, epoll)
  assert.ok(native.loopDescriptor() > 0)
  assert.ok(native.loopTimeout() >= -1)
}

/** Polls that are stopped, closed inside their callback, and left open at the end of the process and of a worker. */
export async function poll() {
  assert.equal(
    native.pollOpen(1_000_000, () => {}),
    -EBADF,
  )
  assert.equal(native.pollOpen(0, 1), -EINVAL)
  assert.equal(native.createPipe(0), 0)
  const [from, to] = [get(0), get(4)]
  let calls = 0
  await new Promise((resolve) => {
    const number = native.pollOpen(from, (events) => {
      assert.equal(events, 1)
      calls += 1
      if (calls < 3) return
      assert.equal(native.pollClose(number), 0)
      assert.equal(native.pollClose(number), -ENOENT)
      assert.equal(native.pollSet(number, 1), -ENOENT)
      resolve()
    })
    assert.equal(native.pollSet(number, 1), 0)
    assert.equal(native.pollSet(number, 0), 0)
    assert.equal(native.pollSet(number, 1), 0)
    assert.equal(native.write(to, 0, 1), 1)
  })
  assert.equal(native.pollSet(native.pollOpen(to, assert.fail), 1), 0)
}

/** A worker has an arena and polls of its own, and ends while it uses them. */
export async function work() {
  const code = `
    const { workerData } = require("node:worker_threads")
    const native = require(workerData)
    const arena = new ArrayBuffer(4096)
    if (native.copy(0, 1, 1) !== -14 || native.attach(arena) !== 0 || native.createPipe(0) !== 0) process.exit(7)
    const [from, to] = new Int32Array(arena)
    native.pollSet(native.pollOpen(from, () => process.exit(5)), 1)
    native.pollOpen(to, () => {})
    native.write(to, 0, 1)`
  const worker = new Worker(code, { eval: true, workerData: process.argv[2] })
  const [status] = await once(worker, "exit")
  assert.equal(status, 5)
}

export function openFiles() {
  assert.equal(native.open("/nonexistent/x", 0, 0), -ENOENT)
  for (const path of ["x".repeat(4095), "x".repeat(4096), "é".repeat(3000)]) {
    assert.equal(native.open(path, 0, 0), -ENAMETOOLONG)
  }
  assert.equal(native.open("/dev/null\0x", 0, 0), -EINVAL)
  const descriptor = native.open("/dev/zero", 0, 0)
  assert.equal(native.read(descriptor, size - 9, 9), 9)
  assert.equal(native.fileControl(descriptor, 1, 0), 1, "closed on exec")
  const duplicate = native.fileControl(descriptor, 1030, 100)
  assert.ok(duplicate >= 100)
  const socket = native.socket(2, 2, 0)
  bytes.fill(0, size - 40)
  bytes.set([0x6c, 0x6f], size - 40)
  assert.equal(native.ioctl(socket, 0x8913, size - 40), 0, "the flags of lo")
  const pidfd = native.pidfdOpen(process.pid)
  assert.ok(pidfd > 0)
  closeAll(duplicate, descriptor, socket, pidfd)
  assert.ok(native.pidfdOpen(-1) < 0)
  assert.equal(native.waitPid(process.pid, 1, 0), -ECHILD)
  assert.equal(native.waitPid(-1, 1, 0), -EINVAL)
  assert.equal(native.kill(process.pid, 0), 0)
  for (const process of [0, -1]) assert.equal(native.kill(process, 0), -EINVAL)
  const inside = native.openInNamespace(-1, "/dev/null", 0)
  assert.ok(inside > 0)
  closeAll(inside)
  assert.equal(native.openInNamespace(1_000_000, "/dev/null", 0), -EBADF)
  assert.equal(native.openInNamespace(), -EINVAL)
  assert.equal(native.socketInNamespace(1), -EINVAL)
}
