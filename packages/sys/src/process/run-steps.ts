import type { Arena } from "@demiflow/core"
import { checkResult } from "../errno.ts"
import type { Native } from "../native.ts"
import { type EncodedSteps, encodeSteps, type Step } from "./steps.ts"

/** A child that carries out steps. */
export interface StepProcess {
  /** Its process id. It is a child of this process: wait for it. */
  readonly process: number
  readonly steps: EncodedSteps
}

/**
 * Forks a child that carries out the steps. Each call sets some arena aside for good (a few kilobytes): for starting.
 *
 * @param reportDescriptor where a step that fails is told, see {@link parseReport}; not inherited unless a step says so
 */
export function runSteps(native: Native, arena: Arena, steps: readonly Step[], reportDescriptor: number): StepProcess {
  const encoded = encodeSteps(steps)
  const { words, strings } = encoded
  const wordsOffset = arena.reserve(words.byteLength, 4)
  const stringsOffset = arena.reserve(strings.length, 1)
  arena.words.set(words, wordsOffset >> 2)
  arena.bytes.set(strings, stringsOffset)
  const result = native.runSteps(wordsOffset, words.length, stringsOffset, strings.length, reportDescriptor)
  return { process: checkResult(result, "start a process"), steps: encoded }
}
