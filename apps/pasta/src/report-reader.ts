/** How the launcher interprets the lines that its processes write. */
import type { Verbosity } from "@demiflow/config"
import { complain, Quit } from "@demiflow/program/command"
import { type DataPathProcess, parseReport } from "@demiflow/program/launch"
import { explainStepFailure, type StepContext } from "./failures.ts"
import type { DataPathReport } from "./report.ts"

/** Reads the reports of a data path, and of the steps before it. */
export class ReportReader {
  readonly #child: DataPathProcess
  readonly #context: StepContext
  readonly #verbosity: Verbosity

  constructor(child: DataPathProcess, verbosity: Verbosity, context: StepContext) {
    this.#child = child
    this.#context = context
    this.#verbosity = verbosity
  }

  /**
   * Waits until everything is set up. Returns the process id of the command's init, if there is one. Throws
   * {@link Quit}.
   */
  awaitReady(): { readonly init: number | undefined } {
    const ready = this.#child.awaitReport((line) => {
      const report = this.take(line)
      if (report?.kind === "ended") throw new Quit("The first process of the namespace ended while it was set up")
      return report
    })
    if (ready === undefined) throw new Quit(`The data path ended while it was starting (${this.#child.wait()})`)
    return ready
  }

  /** Waits until the data path has closed its end, and so holds nothing of ours. Throws {@link Quit}. */
  awaitLeave(): void {
    this.#child.awaitReport((line) => {
      this.take(line)
      return undefined
    })
  }

  /**
   * Interprets a line. Returns undefined if its message has been printed. Throws {@link Quit} if it reports a failure.
   */
  take(line: string): Exclude<DataPathReport, { kind: "failed" | "message" }> | undefined {
    const failure = this.#child.failedStep(line)
    if (failure !== undefined) {
      const complaint = explainStepFailure(failure, this.#context)
      if (complaint === undefined) return undefined
      const { text, isWarning, status } = complaint
      if (!isWarning) throw new Quit(text, status)
      this.#warn(text)
      return undefined
    }
    const report = parseReport<DataPathReport>(line)
    if (report?.kind === "failed") throw new Quit(report.message)
    if (report?.kind !== "message") return report
    this.#warn(report.message)
    return undefined
  }

  #warn(text: string): void {
    if (this.#verbosity !== "quiet") complain(text)
  }
}
