/**
 * Compiled code that is kept beside a bundle. A runtime takes 20–30 ms to parse half a megabyte of JavaScript, and later once
 * more for each function that is called for the first time; reading what is kept takes a third of that.
 *
 * It is made where a package is installed or built, never by a program that runs. It is trusted as far as the bundle is: it
 * is there with the bundle's own text, byte for byte, belongs to the same user, and nobody can write it who can't write the
 * bundle. V8 refuses what another version of it, or one with other options, has made, and ends the process over code that is
 * damaged: its checksum is checked by debug builds alone. So the code is kept twice and compared, which costs less than loading
 * any library that has a digest. What doesn't fit is passed over without a word: the bundle is compiled as usual then.
 */
import { isAscii } from "node:buffer"
import { closeSync, fstatSync, openSync, readFileSync, renameSync, type Stats, statSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname } from "node:path"
import { Script } from "node:vm"

const SUFFIX = ".kept"
const WRITABLE_BY_OTHERS = 0o022
/** What makes a function of a bundle, with what a module that is no ECMAScript module is given. */
const BEFORE = "(function (exports, require, module, __filename, __dirname) { "
const AFTER = "\n})"

type Run = (exports: object, require: NodeJS.Require, module: object, path: string, folder: string) => void

/** Runs a bundle, one file that is no ECMAScript module, by the code that is kept beside it if that fits. */
export function runBundle(path: string): void {
  const require = createRequire(path)
  const script = keptScript(path)
  if (script === undefined) {
    require(path)
    return
  }
  const module = { exports: {} }
  const run = script.runInThisContext() as Run
  run(module.exports, require, module, path, dirname(path))
}

/** A bundle, compiled; undefined if nothing is kept that fits it. Only V8 knows whether its part does. */
export function keptScript(path: string): Script | undefined {
  try {
    const file = openSync(`${path}${SUFFIX}`, "r")
    try {
      if (!isAsSafe(fstatSync(file), statSync(path))) return undefined
      const kept = readFileSync(file)
      const before = Buffer.from(maker())
      const text = wrapped(readFileSync(path))
      const textEnd = before.length + text.length
      // An odd number of bytes has no halves that are the same.
      const codeEnd = (textEnd + kept.length) >> 1
      if (!kept.subarray(0, before.length).equals(before) || !kept.subarray(before.length, textEnd).equals(text)) {
        return undefined
      }
      const code = kept.subarray(textEnd, codeEnd)
      if (!kept.subarray(codeEnd).equals(code)) return undefined
      return new Script(stringOf(text), { filename: path, cachedData: code })
    } finally {
      closeSync(file)
    }
  } catch {
    return undefined
  }
}

/**
 * Compiles a bundle, all of its functions, and keeps the code beside it, for runtimes with this one's version and options.
 * Throws what `node:fs` does.
 *
 * @param setOptions sets options of V8
 */
export function keepCode(path: string, setOptions: (options: string) => void): void {
  const text = wrapped(readFileSync(path))
  setOptions("--no-lazy")
  const script = new Script(stringOf(text), { filename: path })
  // V8 notes the options with which it hands the code out.
  setOptions("--lazy")
  const temporary = `${path}${SUFFIX}.${process.pid}`
  const code = script.createCachedData()
  // Flushed: after a power failure, the name mustn't lead to bytes that never reached the disk.
  writeFileSync(temporary, Buffer.concat([Buffer.from(maker()), text, code, code]), { mode: 0o644, flush: true })
  renameSync(temporary, `${path}${SUFFIX}`)
}

/** The runtime, more exactly than V8 names itself in its code. */
function maker(): string {
  return `${process.version} ${process.arch}\n`
}

function wrapped(bundle: Buffer): Buffer {
  return Buffer.concat([Buffer.from(BEFORE), bundle, Buffer.from(AFTER)])
}

/** Of ASCII it is a string of bytes, and made sooner. */
function stringOf(text: Buffer): string {
  return text.toString(isAscii(text) ? "latin1" : "utf8")
}

/** True if nobody can write the first who can't write the second. */
function isAsSafe(kept: Stats, bundle: Stats): boolean {
  return kept.uid === bundle.uid && (kept.mode & WRITABLE_BY_OTHERS & ~bundle.mode) === 0
}
