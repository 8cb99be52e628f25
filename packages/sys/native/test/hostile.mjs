// Arguments that no caller should pass.
import assert from "node:assert/strict"
import { constants } from "node:os"
import { arena, bytes, get, native, put, size } from "./arena.mjs"

const { EBADF, EFAULT, EINVAL } = constants.errno
const closed = 1_000_000
const largest = 2147483647
const smallest = -2147483648

/** Functions that take a range of memory, with the other arguments that they need before they check the range. */
const ranges = {
  copyFrom: (offset, length) => native.copy(offset, 0, length),
  copyTo: (offset, length) => native.copy(0, offset, length),
  checksum: (offset, length) => native.checksum(offset, length, 0),
  checksumPortable: (offset, length) => native.checksumPortable(offset, length, 0),
  getRandom: (offset, length) => native.getRandom(offset, length),
  read: (offset, length) => native.read(closed, offset, length),
  write: (offset, length) => native.write(closed, offset, length),
  bind: (offset, length) => native.bind(closed, offset, length),
  connect: (offset, length) => native.connect(closed, offset, length),
  accept: (offset, length) => native.accept(closed, offset, length),
  getSocketName: (offset, length) => native.getSocketName(closed, offset, length),
  getPeerName: (offset, length) => native.getPeerName(closed, offset, length),
  setOption: (offset, length) => native.setOption(closed, 1, 13, offset, length),
  getOption: (offset, length) => native.getOption(closed, 1, 17, offset, length),
  readFrames: (offset, length) => native.readFrames(closed, offset, 64, Math.ceil(length / 64), 0),
  readFramesLengths: (offset, length) => native.readFrames(closed, 0, 64, Math.ceil(length / 4), offset),
  ringTake: (offset, length) => native.ringTake(closed, offset, length, 1, 1, 0),
  ringTakeLengths: (offset, length) => native.ringTake(closed, 0, 64, 64, Math.ceil(length / 4), offset),
}

/** Offset and length, none of them inside the arena. */
const outside = [
  [-1, 16],
  [smallest, 16],
  [size - 15, 16],
  [size, 1],
  [0, size + 1],
  [largest, largest],
  [largest, 1],
  [16, largest],
  [16, -1],
  [16, smallest],
]

/** Functions that take a table of the given number of entries. */
const tables = {
  readVectors: (offset, count) => native.readVectors(closed, offset, count),
  writeVectors: (offset, count) => native.writeVectors(closed, offset, count),
  sendVectors: (offset, count) => native.sendVectors(closed, offset, count, 0),
  receiveVectors: (offset, count) => native.receiveVectors(closed, offset, count, 0),
  sendMessages: (offset, count) => native.sendMessages(closed, offset, count, 0),
  receiveMessages: (offset, count) => native.receiveMessages(closed, offset, count, 0),
  writeFrames: (offset, count) => native.writeFrames(closed, offset, count),
  ringGive: (offset, count) => native.ringGive(closed, offset, count),
  epollWait: (offset, count) => native.epollWait(closed, offset, count, 0),
  epollWaitMicroseconds: (offset, count) => native.epollWaitMicroseconds(closed, offset, count, 1),
}

/**
 * Our functions without integers to check: they take no arguments, or a string. Those that launch processes have tests
 * of their own.
 */
const unchecked = new Set([
  "attach",
  "pollOpen",
  "monotonicMicroseconds",
  "monotonicWord",
  "memoryCreate",
  "epollCreate",
  "loopDescriptor",
  "loopTimeout",
])
const checked = [
  ...[
    "accept",
    "bind",
    "checksum",
    "checksumPortable",
    "close",
    "connect",
    "copy",
    "createEvent",
    "createPipe",
    "discard",
  ],
  ...["epollControl", "epollWait", "epollWaitMicroseconds", "fileControl", "getOption", "getOptionInteger"],
  ...["getPeerName", "getRandom", "getSocketName", "ioctl", "ioctlGetInteger", "ioctlValue", "kill", "listen", "open"],
  ...[
    "pidfdOpen",
    "read",
    "readFrames",
    "readVectors",
    "receiveMessages",
    "receiveVectors",
    "sendMessages",
    "sendVectors",
  ],
  ...["memoryAdd", "memoryClear", "memoryClose", "memoryLog", "memoryRemove"],
  ...["ringArm", "ringBase", "ringClose", "ringFault", "ringGive", "ringHas", "ringNotify", "ringOpen", "ringTake"],
  ...[
    "setOption",
    "setOptionInteger",
    "shutdown",
    "socket",
    "socketPair",
    "storeMonotonic",
    "waitPid",
    "write",
    "writeFrames",
    "writeVectors",
  ],
]

export function attachToHostileThings() {
  assert.equal(native.copy(0, 0, 0), -EFAULT)
  assert.equal(native.checksum(0, 1, 0), -EFAULT)
  for (const thing of [undefined, null, 7, bytes, new ArrayBuffer(0)]) assert.equal(native.attach(thing), -EINVAL)
  assert.equal(native.attach(), -EINVAL)
  assert.equal(native.attach(new ArrayBuffer(64, { maxByteLength: 128 })), -EINVAL, "resizable")
  const transferred = new ArrayBuffer(1 << 20)
  assert.equal(native.attach(transferred), 0)
  structuredClone(transferred, { transfer: [transferred] })
  assert.equal(native.copy(0, 1024, 1000), -EFAULT, "transferred")
  assert.equal(native.attach(new ArrayBuffer(64)), 0)
  assert.equal(native.attach(arena), 0)
  for (const name of unchecked) assert.equal(typeof native[name], "function", name)
  for (const name of checked) {
    assert.equal(native[name](), -EINVAL, name)
    assert.equal(native[name]("1", {}, null, undefined, Symbol("s"), 1n, []), -EINVAL, name)
  }
}

export function useMemoryOutside() {
  const refused = (result) => result === -EFAULT || result === -EINVAL
  for (const [name, call] of Object.entries(ranges)) {
    for (const [offset, length] of outside) {
      assert.ok(refused(call(offset, length)), `${name}(${offset}, ${length})`)
    }
    assert.notEqual(call(size - 64, 64), -EFAULT, `${name}: the last bytes are inside`)
  }
  for (const [name, call] of Object.entries(tables)) {
    for (const offset of [-1, smallest, size, size - 7, largest]) assert.equal(call(offset, 1), -EFAULT, name)
    for (const count of [-1, smallest]) assert.equal(call(0, count), -EINVAL, name)
    // writeFrames has no limit but the arena; epoll takes fewer than requested.
    for (const count of [1025, largest]) assert.ok(refused(call(0, count)) || call(0, count) === -EBADF, name)
    if (name.startsWith("epoll")) continue
    for (const [offset, length] of outside) {
      put(0, offset, length, offset, length, offset, length, 0, 0)
      assert.equal(call(0, 1), -EFAULT, `${name} with (${offset}, ${length}) in its table`)
    }
  }
  for (const word of [0, 2, 4]) {
    for (const [offset, length] of outside) {
      put(0, 0, 1, 0, 1, 0, 1, 0, 0)
      put(word * 4, offset, length)
      assert.equal(native.sendMessages(closed, 0, 1, 0), -EFAULT)
      assert.equal(native.receiveMessages(closed, 0, 1, 0), -EFAULT)
    }
  }
  for (const room of [-64, 0, 1, 100]) assert.equal(native.readFrames(closed, 0, room, 1, 0), -EINVAL)
  assert.equal(native.readFrames(closed, 0, 64, 0, 0), -EINVAL)
  assert.equal(native.readFrames(closed, 0, largest - 63, largest, 0), -EFAULT)
  for (const offset of [-1, size - 7, size, largest]) {
    assert.equal(native.socketPair(1, 1, 0, offset), -EFAULT)
    assert.equal(native.createPipe(offset), -EFAULT)
  }
  for (const offset of [-1, size - 31, largest]) {
    assert.equal(native.memoryAdd(closed, closed, offset), -EFAULT)
    assert.equal(native.memoryRemove(closed, offset), -EFAULT)
  }
  for (const offset of [-1, size - 15]) assert.equal(native.memoryLog(closed, closed, offset), -EFAULT)
  for (const offset of [-1, size - 47]) assert.equal(native.ringOpen(closed, offset), -EFAULT)
  for (const offset of [-1, size - 3]) assert.equal(native.readAt(0, offset, 4, 0), -EFAULT)
  for (const offset of [-1, size - 3]) assert.equal(native.waitPid(process.pid, 1, offset), -EFAULT)
  for (const offset of [-1, size - 39, largest]) assert.equal(native.ioctl(closed, 0x8913, offset), -EFAULT)
}

/**
 * Covers structures with addresses (SO_ATTACH_FILTER, SIOCGIFCONF), and lengths that aren't bytes (SO_GET_FILTER, the
 * same number).
 */
export function askForWhatHoldsAddresses() {
  const socket = native.socket(2, 2, 0)
  assert.equal(native.setOption(socket, 1, 26, 0, 16), -EINVAL)
  assert.equal(native.setOptionInteger(socket, 1, 26, 0), -EINVAL)
  assert.equal(native.getOption(socket, 1, 26, size - 4, 4), -EINVAL)
  assert.equal(native.getOptionInteger(socket, 1, 26), -EINVAL)
  assert.equal(native.ioctl(socket, 0x8912, 0), -EINVAL)
  assert.equal(native.ioctlGetInteger(socket, 0x8912), -EINVAL)
  native.close(socket)
}

export function useClosedDescriptors() {
  for (const descriptor of [closed, -1, largest]) {
    assert.equal(native.close(descriptor), -EBADF)
    assert.equal(native.listen(descriptor, 1), -EBADF)
    assert.equal(native.shutdown(descriptor, 2), -EBADF)
    assert.equal(native.discard(descriptor, 1), -EBADF)
    assert.equal(native.read(descriptor, 0, 1), -EBADF)
    assert.equal(native.write(descriptor, 0, 1), -EBADF)
    assert.equal(native.readAt(descriptor, 0, 1, 0), -EBADF)
    assert.equal(native.splice(descriptor, descriptor, 1), -EBADF)
    assert.equal(native.accept(descriptor, 0, 28), -EBADF)
    assert.equal(native.readFrames(descriptor, 0, 64, 4, 1000), 1)
    assert.equal(get(1000), -EBADF)
    assert.equal(native.setOptionInteger(descriptor, 1, 2, 1), -EBADF)
    assert.equal(native.getOptionInteger(descriptor, 1, 2), -EBADF)
    assert.equal(native.ioctl(descriptor, 0x8913, 0), -EBADF)
    assert.equal(native.ioctlGetInteger(descriptor, 0x541b), -EBADF)
    assert.equal(native.ioctlValue(descriptor, 0x400454d0, 1), -EBADF)
    assert.equal(native.fileControl(descriptor, 3, 0), -EBADF)
    assert.equal(native.epollControl(descriptor, 1, 0, 1, 1), -EBADF)
    assert.equal(native.memoryAdd(descriptor, 0, 0), -EBADF)
    assert.equal(native.ringTake(descriptor, 0, 64, 64, 1, 64), -EBADF)
    assert.equal(native.ringGive(descriptor, 0, 0), -EBADF)
  }
  assert.equal(native.discard(closed, -1), -EINVAL)
  assert.equal(native.splice(0, 0, -1), -EINVAL)
  // An fcntl() command and an ioctl() request that would interpret their number as an address.
  assert.equal(native.fileControl(0, 5, 4096), -EINVAL)
  assert.equal(native.ioctlValue(0, 0x8913, 4096), -EINVAL)
}

/** Runs for as long as time permits; xorshift, so that a seed reproduces it. */
export function callWithNonsense(seed) {
  let state = seed | 1
  const next = () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state
  }
  const pool = [0, 1, -1, 2, 16, 64, size - 1, size, size - 16, largest, smallest, closed]
  const argument = () => ((next() & 3) > 0 ? pool[(next() >>> 1) % pool.length] : next())
  const onMemory = ["copy", "checksum", "checksumPortable", "getRandom"]
  const onDescriptors = [
    ...Object.keys(tables),
    "readFrames",
    "ringTake",
    "memoryAdd",
    "ringOpen",
    "setOption",
    "getOption",
    "bind",
    "connect",
    "ioctl",
  ]
  const names = [...onMemory, ...onDescriptors]
  for (let round = 0; round < 20_000; round++) {
    const name = names[(next() >>> 1) % names.length]
    const first = onMemory.includes(name) ? argument() : closed
    native[name](first, argument(), argument(), argument(), argument())
  }
}
