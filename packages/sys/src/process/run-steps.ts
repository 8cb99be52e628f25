import type { Arena } from "@demiflow/core"
import { checkResult } from "../errno.ts"
import type { Native } from "../native.ts"
import { type EncodedSteps, encodeSteps } from "./encode-steps.ts"
import type { Step } from "./steps.ts"

/** A child that carries out steps. */
export interface StepProcess {
  /** Its process id. A child of this process: wait for it. */
  readonly process: number
  readonly steps: EncodedSteps
}

/**
 * Forks a child that carries out the steps. Each call reserves some arena for good (a few kilobytes), so it is meant
 * for start-up.
 *
 * @param reportDescriptor where a failed step is reported, see `parseStepFailure`; not inherited unless a step
 * says so
 */
export function runSteps(native: Native, arena: Arena, steps: readonly Step[], reportDescriptor: number): StepProcess {
  const { encoded, place } = write(arena, steps)
  return { process: checkResult(native.runSteps(...place, reportDescriptor), "start a process"), steps: encoded }
}

/**
 * Carries out the steps in this process. Throws a `SystemError` if one fails; the steps before it have been carried out
 * then. A step that executes a program ends the runtime, with all its threads, and doesn't return. Reserves arena as
 * {@link runSteps} does.
 *
 * @param steps none that starts a process
 */
export function runStepsHere(native: Native, arena: Arena, steps: readonly Step[]): void {
  checkResult(native.runStepsHere(...write(arena, steps).place), "carry out a step")
}

function write(
  arena: Arena,
  steps: readonly Step[],
): {
  encoded: EncodedSteps
  place: [wordsOffset: number, wordCount: number, stringsOffset: number, stringBytes: number]
} {
  const encoded = encodeSteps(steps)
  const { words, strings } = encoded
  const wordsOffset = arena.reserve(words.byteLength, 4, "the steps of a process")
  const stringsOffset = arena.reserve(strings.length, 1, "the steps of a process")
  arena.words.set(words, wordsOffset >> 2)
  arena.bytes.set(strings, stringsOffset)
  return { encoded, place: [wordsOffset, words.length, stringsOffset, strings.length] }
}
