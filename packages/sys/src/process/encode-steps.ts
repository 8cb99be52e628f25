/** Encodes lists of steps for the native side: the numbers of opcodes and operands are those of `native/steps.h`. */
import type { Step, Text } from "./steps.ts"

const OPCODES = {
  writeFile: 1,
  writeChildFile: 2,
  setUser: 3,
  setGroup: 4,
  clearGroups: 5,
  enterNamespace: 6,
  unshare: 7,
  mount: 8,
  control: 9,
  setLimit: 10,
  newSession: 11,
  dieWithParent: 12,
  duplicate: 13,
  open: 14,
  openChildFile: 15,
  openChild: 16,
  closeOnExecFrom: 17,
  waitByte: 18,
  putByte: 19,
  spawn: 20,
  init: 21,
  execute: 22,
  close: 23,
  keepCapabilities: 24,
  limitCapabilities: 25,
  pivotRoot: 26,
  filterCalls: 27,
  try: 28,
  restrict: 29,
  awaitChild: 30,
  spawnHelper: 31,
  unshareUser: 32,
  mountReceived: 33,
  setVariable: 34,
  onlyIf: 35,
  keepVariables: 36,
  addOptions: 37,
  closeFrom: 38,
  wipeVariables: 39,
  endWithPipe: 40,
  coverInitramfs: 41,
} as const satisfies Record<Step["kind"], number>

const MAY_FAIL = 0x100

/** A list of steps as the native side reads it. */
export interface EncodedSteps {
  readonly words: Int32Array
  readonly strings: Uint8Array
  /** The step that begins at a word, which identifies it in the report of a failure. */
  stepAt(word: number): Step | undefined
}

/** Encodes the steps. Throws `TypeError` for a text that contains a zero byte. */
export function encodeSteps(steps: readonly Step[]): EncodedSteps {
  const encoder = new Encoder()
  encoder.addAll(steps)
  return encoder.finish()
}

/**
 * Encodes the steps as a file for the program `become`: see `native/become/main.c`, which is compiled for the same
 * kinds of steps.
 */
export function encodeStepsFile(steps: readonly Step[]): Uint8Array {
  const { words, strings } = encodeSteps(steps)
  const header = Int32Array.of(Object.keys(OPCODES).length + 1, words.length, strings.length)
  return Buffer.concat([header, words, strings].map(({ buffer }) => new Uint8Array(buffer)))
}

class Encoder {
  readonly #words: number[] = []
  readonly #strings: Uint8Array[] = []
  readonly #steps = new Map<number, Step>()
  #stringBytes = 0
  /** True inside a "try" step: in reports of failures, its steps count as ones that may fail. */
  #isTrying = false

  addAll(steps: readonly Step[]): void {
    for (const step of steps) this.#add(step)
  }

  finish(): EncodedSteps {
    this.#text("")
    const strings = new Uint8Array(this.#stringBytes)
    let offset = 0
    for (const bytes of this.#strings) {
      strings.set(bytes, offset)
      offset += bytes.length + 1
    }
    return { words: Int32Array.from(this.#words), strings, stepAt: (word) => this.#steps.get(word) }
  }

  #add(step: Step): void {
    this.#steps.set(this.#words.length, this.#isTrying ? { ...step, mayFail: true } : step)
    this.#words.push(OPCODES[step.kind] | (step.mayFail ? MAY_FAIL : 0))
    switch (step.kind) {
      case "spawn":
        this.#words.push(step.flags)
        this.#addNested(step.steps)
        break
      case "try":
        this.#isTrying = true
        this.#addNested(step.steps)
        this.#isTrying = false
        break
      case "spawnHelper":
        this.#words.push(this.#text(step.variable))
        this.#addNested(step.steps)
        break
      case "onlyIf": {
        const { isRoot = false, capability = -1, argument = "" } = step.condition
        this.#words.push(Number(isRoot), capability, this.#text(argument))
        this.#addNested(step.steps)
        break
      }
      case "execute":
        this.#addExecute(step.paths, step.arguments, step.variables)
        break
      default:
        this.#words.push(...this.#operands(step))
    }
  }

  #addNested(steps: readonly Step[]): void {
    const lengthAt = this.#words.push(0) - 1
    this.addAll(steps)
    this.#words[lengthAt] = this.#words.length - lengthAt - 1
  }

  #addExecute(paths: readonly Text[], args: readonly Text[], variables: readonly Text[] | undefined): void {
    this.#words.push(paths.length, args.length, variables?.length ?? -1)
    for (const text of [...paths, ...args, ...(variables ?? [])]) this.#words.push(this.#text(text))
  }

  #operands(step: Exclude<Step, { kind: "spawn" | "spawnHelper" | "try" | "onlyIf" | "execute" }>): number[] {
    switch (step.kind) {
      case "writeFile":
        return [this.#text(step.path), ...this.#contents(step.contents)]
      case "writeChildFile":
        return [this.#text(step.file), ...this.#contents(step.contents)]
      case "setUser":
        return [step.user]
      case "setGroup":
        return [step.group]
      case "clearGroups":
      case "newSession":
      case "keepCapabilities":
      case "awaitChild":
      case "init":
      case "wipeVariables":
        return []
      case "limitCapabilities":
        return maskOf(step.kept)
      case "pivotRoot":
      case "coverInitramfs":
        return [this.#text(step.path)]
      case "filterCalls":
        return [this.#block(step.filter), step.filter.length, step.flags]
      case "restrict":
        return [step.files, step.scopes, step.flags, step.folder ?? -1, step.allowed]
      case "enterNamespace":
        return [step.descriptor, step.type]
      case "unshare":
      case "unshareUser":
        return [step.flags]
      case "keepVariables":
        return [this.#text(step.beginnings.join(" "))]
      case "addOptions": {
        const { size, changedAt } = step.executable
        return [...wordsOf(size), ...wordsOf(changedAt), this.#text(step.options.join(" "))]
      }
      case "setVariable":
        return [this.#text(step.variable)]
      case "mount":
        return [this.#text(step.source), this.#text(step.target), this.#text(step.type), step.flags]
      case "control":
        return [step.option, step.value]
      case "setLimit":
        return [step.resource, step.soft]
      case "dieWithParent":
        return [step.signal]
      case "endWithPipe":
        return [step.descriptor, step.signal]
      case "duplicate":
        return [step.descriptor, step.number]
      case "open":
        return [this.#text(step.path), step.flags, step.number]
      case "openChildFile":
        return [this.#text(step.file), step.flags, step.number]
      case "openChild":
        return [step.number]
      case "waitByte":
        return [step.descriptor, step.life ?? -1]
      case "closeFrom":
      case "closeOnExecFrom":
        return [step.first]
      case "close":
      case "mountReceived":
      case "putByte":
        return [step.descriptor]
    }
  }

  #contents(contents: Text): [offset: number, length: number] {
    const offset = this.#text(contents)
    return [offset, this.#stringBytes - offset - 1]
  }

  #text(text: Text): number {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text
    if (bytes.includes(0)) throw new TypeError("A text for the kernel can't contain a zero byte")
    return this.#block(bytes)
  }

  /** Appends bytes and a zero byte. */
  #block(bytes: Uint8Array): number {
    const offset = this.#stringBytes
    this.#strings.push(bytes)
    this.#stringBytes += bytes.length + 1
    return offset
  }
}

/** Capabilities 0 to 31 and 32 to 63, one bit each. */
function maskOf(capabilities: readonly number[]): [low: number, high: number] {
  let low = 0
  let high = 0
  for (const capability of capabilities) {
    if (capability < 32) low |= 1 << capability
    else high |= 1 << (capability - 32)
  }
  return [low, high]
}

/** A number of up to 53 bits, the lower 32 first. */
function wordsOf(value: number): [low: number, high: number] {
  return [value | 0, Math.floor(value / 2 ** 32)]
}
