/** Reports that a process sends to the one that started it, each one line of JSON over a pipe. */
import type { EncodedSteps } from "./encode-steps.ts"
import type { Step } from "./steps.ts"

/** A step that could not be carried out. */
export interface StepFailure {
  readonly step: Step
  /** A positive error number. */
  readonly errno: number
}

/**
 * The failed step that a line reports; undefined if the line is about something else. A child that runs a program after
 * its steps can write any line: the caller decides what those mean.
 */
export function parseStepFailure(line: string, steps: EncodedSteps): StepFailure | undefined {
  const match = /^\{"step":(\d+),"errno":(\d+)\}$/.exec(line)
  if (match === null) return undefined
  const step = steps.stepAt(Number(match[1]))
  return step === undefined ? undefined : { step, errno: Number(match[2]) }
}

/** Characters kept of an incomplete line: the rest of a longer one is lost. */
const LONGEST_LINE = 1 << 16

/** Splits text that arrives in pieces into lines. */
export class LineSplitter {
  #rest = ""

  /** Adds text. Returns the lines that it completes. */
  add(text: string): string[] {
    const lines = (this.#rest + text).split("\n")
    this.#rest = (lines.pop() ?? "").slice(0, LONGEST_LINE)
    return lines
  }
}
