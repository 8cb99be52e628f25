// Lists of steps: one that is carried out, and many that must be refused before any step is carried out.
import assert from "node:assert/strict"
import { constants } from "node:os"
import { bytes, get, native, put, size } from "./arena.mjs"

const { EINVAL } = constants.errno
// The values of steps.h.
const WRITE_FILE = 1
const MAY_FAIL = 0x100
const DUPLICATE = 13
const OPEN = 14
const SPAWN = 20
const INIT = 21
const EXECUTE = 22
const KEEP_CAPABILITIES = 24
const OPCODES = 42

/**
 * Places words and strings at the very end of the arena, where the sanitizer notices overruns: the last byte of the
 * strings is the arena's last.
 */
function place(words, strings) {
  const encoded = new TextEncoder().encode(strings)
  const stringsOffset = size - encoded.length
  bytes.set(encoded, stringsOffset)
  const wordsOffset = stringsOffset - words.length * 4
  put(wordsOffset, ...words)
  return [wordsOffset, words.length, stringsOffset, encoded.length]
}

/**
 * Runs a child with an init with a command, each with all the steps that it can do, and checks the reports of steps
 * that fail.
 */
export function carryOutSteps() {
  const strings = "/dev/null\0/bin/sh\0sh\0-c\0exit 7\0/nowhere\0"
  const [file, shell, name, option, script, nowhere] = [0, 10, 18, 21, 24, 31]
  const command = [EXECUTE, 2, 3, 1, nowhere, shell, name, option, script, name]
  // The spawned child's first init has nobody to wait for, and fails.
  const inner = [DUPLICATE, 2, 2, INIT | MAY_FAIL, SPAWN, 0, command.length, ...command, INIT]
  const words = [OPEN, file, 2, 9, WRITE_FILE | MAY_FAIL, nowhere, file, 4, SPAWN, 0, inner.length, ...inner]
  words.push(KEEP_CAPABILITIES, ...inner)
  native.createPipe(0)
  const [readEnd, writeEnd] = [get(0), get(4)]
  const child = native.runSteps(...place(words, strings), writeEnd)
  assert.ok(child > 0)
  native.close(writeEnd)
  assert.equal(native.waitPid(child, 0, 0), child)
  assert.equal(get(0), 7 << 8)
  const count = native.read(readEnd, 0, 4096)
  assert.equal(
    Buffer.from(bytes.subarray(0, count)).toString(),
    `{"step":4,"errno":${constants.errno.ENOENT}}\n{"step":14,"errno":${constants.errno.ENOSYS}}\n`,
  )
  native.close(readEnd)
}

/** More than the operands of any step below: the last zeros are read as a step, and no step has that opcode. */
const REFUSED = new Array(400).fill(0)

/** Random words, with an end that guarantees that nothing is carried out. */
export function refuseSteps(seed) {
  let state = seed | 1
  const random = (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) % limit
  }
  for (let round = 0; round < 5_000; round++) {
    const words = Array.from({ length: random(24) }, () => (random(3) === 0 ? random(OPCODES) : random(80) - 8))
    if (random(8) === 0) words.push((random(2) === 0 ? 1 : -1) * 0x7fffffff)
    words.push(...REFUSED)
    assert.equal(native.runSteps(...place(words, "a\0bc\0"), 2), -EINVAL)
    assert.equal(native.runStepsHere(...place(words, "a\0bc\0")), -EINVAL)
  }
}

/** Carries out steps in this process, up to one that fails or that would start a process. */
export function carryOutStepsHere() {
  const strings = "/dev/null\0/nowhere\0"
  const [file, nowhere] = [0, 10]
  native.createPipe(0)
  const number = get(4)
  native.close(get(0))
  const open = [OPEN, file, 2, number]
  assert.equal(native.runStepsHere(...place([...open, WRITE_FILE | MAY_FAIL, nowhere, file, 4], strings)), 0)
  assert.equal(native.write(number, 0, 1), 1)
  const failing = [EXECUTE, 1, 1, -1, nowhere, nowhere, ...open]
  native.close(number)
  assert.equal(native.runStepsHere(...place(failing, strings)), -constants.errno.ENOENT)
  assert.equal(native.runStepsHere(...place([SPAWN, 0, open.length, ...open], strings)), -EINVAL)
  assert.ok(native.write(number, 0, 1) < 0)
}

/** Uses descriptors that are not terminals. */
export function askForTerminals() {
  for (const ask of [native.isForeground, native.reclaimForeground]) {
    assert.ok(ask(1_000_000) < 0)
    assert.equal(ask("x"), -EINVAL)
    assert.equal(ask(), -EINVAL)
  }
}
