/**
 * Compiled code that is kept beside a bundle. A runtime takes 20–30 ms to parse half a megabyte of JavaScript, and more
 * time later for each function called for the first time; reading kept code takes a third of that.
 *
 * The code is written where a package is installed or built, never by a running program. It is trusted as much as the
 * bundle: it contains the bundle's own text, byte for byte, belongs to the same user, and is writable only by users who
 * can write the bundle. V8 rejects code of another version, or of one with other options, but crashes on damaged code:
 * only debug builds check its checksum. So the code is kept twice and compared, which costs less than loading any
 * library that has a digest. Kept code that doesn't match is silently ignored: the bundle is compiled as usual then.
 */
import { isAscii } from "node:buffer"
import { closeSync, fstatSync, openSync, readFileSync, renameSync, type Stats, statSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname } from "node:path"
import { Script } from "node:vm"

const SUFFIX = ".kept"
const WRITABLE_BY_OTHERS = 0o022
/** Turns a bundle into a function with the parameters of a CommonJS module. */
const BEFORE = "(function (exports, require, module, __filename, __dirname) { "
const AFTER = "\n})"

type Run = (exports: object, require: NodeJS.Require, module: object, path: string, folder: string) => void

/** Runs a bundle, a single CommonJS file, using the code kept beside it if that matches. */
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

/**
 * Loads a bundle with its kept code; undefined if there is none that matches. Only V8 can decide whether its part
 * matches.
 */
export function keptScript(path: string): Script | undefined {
  try {
    const file = openSync(`${path}${SUFFIX}`, "r")
    try {
      if (!isAsSafe(fstatSync(file), statSync(path))) return undefined
      const kept = readFileSync(file)
      const before = Buffer.from(maker())
      const text = wrapped(readFileSync(path))
      const textEnd = before.length + text.length
      // An odd number of bytes has no equal halves.
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
 * Compiles a bundle, all of its functions, and keeps the code beside it, for runtimes of this one's version and
 * options. Throws what `node:fs` does.
 *
 * @param setOptions sets options of V8
 */
export function keepCode(path: string, setOptions: (options: string) => void): void {
  const text = wrapped(readFileSync(path))
  setOptions("--no-lazy")
  const script = new Script(stringOf(text), { filename: path })
  // V8 records the options in effect when it hands the code out.
  setOptions("--lazy")
  const temporary = `${path}${SUFFIX}.${process.pid}`
  const code = script.createCachedData()
  // Flushed: after a power failure, the name must not lead to bytes that never reached the disk.
  writeFileSync(temporary, Buffer.concat([Buffer.from(maker()), text, code, code]), { mode: 0o644, flush: true })
  renameSync(temporary, `${path}${SUFFIX}`)
}

/** Identifies the runtime, more precisely than V8 does in its code. */
function maker(): string {
  return `${process.version} ${process.arch}\n`
}

function wrapped(bundle: Buffer): Buffer {
  return Buffer.concat([Buffer.from(BEFORE), bundle, Buffer.from(AFTER)])
}

/** For ASCII, a one-byte string, which is created faster. */
function stringOf(text: Buffer): string {
  return text.toString(isAscii(text) ? "latin1" : "utf8")
}

/** True if every user who can write the kept code can also write the bundle. */
function isAsSafe(kept: Stats, bundle: Stats): boolean {
  return kept.uid === bundle.uid && (kept.mode & WRITABLE_BY_OTHERS & ~bundle.mode) === 0
}
