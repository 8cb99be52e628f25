/** What processes tell the one that started them, each as one line of JSON over a pipe. */
import type { EncodedSteps } from "./encode-steps.ts"
import type { Step } from "./steps.ts"

/** A step that could not be carried out. */
export interface StepFailure {
  readonly step: Step
  /** A positive error number. */
  readonly errno: number
}

/**
 * The failed step that the line tells of; undefined if it is about something else. Lines of a child that runs a program
 * after its steps can be anything: the caller decides what they mean.
 */
export function parseStepFailure(line: string, steps: EncodedSteps): StepFailure | undefined {
  const match = /^\{"step":(\d+),"errno":(\d+)\}$/.exec(line)
  if (match === null) return undefined
  const step = steps.stepAt(Number(match[1]))
  return step === undefined ? undefined : { step, errno: Number(match[2]) }
}

/** Characters of a line that isn't complete: of a longer one, the rest is lost. */
const LONGEST_LINE = 1 << 16

/** Takes text apart into lines that arrive in pieces. */
export class LineSplitter {
  #rest = ""

  /** The lines that are complete with this text. */
  add(text: string): string[] {
    const lines = (this.#rest + text).split("\n")
    this.#rest = (lines.pop() ?? "").slice(0, LONGEST_LINE)
    return lines
  }
}
