/** The process that moves the packets, as seen by the process that started it. */
import { readSync, writeSync } from "node:fs"
import type { Arena } from "@demiflow/core"
import {
  checkResult,
  FileCommand,
  LineSplitter,
  type Native,
  parseStepFailure,
  parseWaitStatus,
  runSteps,
  type Step,
  type StepFailure,
  type StepProcess,
} from "@demiflow/sys"
import { endIfDebuggerIsOpen } from "./debugger.ts"
import type { DataPathSettings } from "./report.ts"

const READ_BYTES = 4096
const SIGTERM = 15
const SIGKILL = 9

/** The two ends of a pipe, by their descriptors in this process. */
export interface Pipe {
  readonly readEnd: number
  readonly writeEnd: number
}

/** The pipes that every data path has. */
export interface DataPathPipes {
  /** Towards the data path. */
  readonly settings: Pipe
  /** From the data path, and from the steps before it. */
  readonly report: Pipe
}

/** Makes a pipe. Throws a `SystemError`. */
export function createPipe(native: Native, arena: Arena, scratchOffset: number): Pipe {
  checkResult(native.createPipe(scratchOffset), "make a pipe")
  const [readEnd, writeEnd] = arena.words.subarray(scratchOffset >> 2, (scratchOffset >> 2) + 2)
  for (const end of [readEnd, writeEnd]) native.fileControl(end, FileCommand.setStatusFlags, 0)
  return { readEnd, writeEnd }
}

/** A data path, from its start. Its runtime starts while the configuration is being decided here. */
export class DataPathProcess {
  readonly #native: Native
  readonly #arena: Arena
  readonly #scratch: number
  readonly #pipes: DataPathPipes
  readonly #child: StepProcess
  readonly #splitter = new LineSplitter()
  /** Reports that have arrived and are still unread. */
  readonly #lines: string[] = []
  #hasChild = true
  #end = "for an unknown reason"

  /**
   * Carries the steps out in a new process. The last step executes the runtime, which reads the settings and reports.
   * Throws a `SystemError`.
   *
   * @param theirs further descriptors that only the new process needs: they are closed here
   */
  constructor(native: Native, arena: Arena, steps: (pipes: DataPathPipes) => Step[], theirs: readonly number[] = []) {
    this.#native = native
    this.#arena = arena
    this.#scratch = arena.reserve(8, 8, "the data path")
    const pipe = () => createPipe(native, arena, this.#scratch)
    this.#pipes = { settings: pipe(), report: pipe() }
    this.#child = runSteps(native, arena, steps(this.#pipes), this.#pipes.report.writeEnd)
    for (const end of [this.#pipes.settings.readEnd, this.#pipes.report.writeEnd, ...theirs]) native.close(end)
  }

  /** Its process id. */
  get process(): number {
    return this.#child.process
  }

  /** Sends the data path its settings. */
  sendSettings(settings: DataPathSettings): void {
    // Its runtime is still starting, so this costs no time. Before the settings arrive, no guest can reach it.
    endIfDebuggerIsOpen()
    const { writeEnd } = this.#pipes.settings
    const bytes = Buffer.from(JSON.stringify(settings))
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(writeEnd, bytes, at)
    } catch {
      // The data path has ended: its reports have the reason.
    }
    this.#native.close(writeEnd)
  }

  /**
   * Reads reports until `take` returns something other than undefined, and returns that; undefined if the reports end
   * before. Blocks, so that signals end this process as usual.
   */
  awaitReport<Answer>(take: (line: string) => Answer | undefined): Answer | undefined {
    const bytes = new Uint8Array(READ_BYTES)
    for (;;) {
      const answer = this.#take(take)
      if (answer !== undefined) return answer
      const count = readSync(this.#pipes.report.readEnd, bytes)
      if (count === 0) return undefined
      this.#add(Buffer.from(bytes.subarray(0, count)))
    }
  }

  /** As `awaitReport`, without blocking. An error thrown by `take` rejects the promise. */
  awaitLastReport<Answer>(take: (line: string) => Answer | undefined): Promise<Answer | undefined> {
    // Loaded once everything runs, not before.
    const { Socket } = process.getBuiltinModule("node:net")
    // When the pipe ends, the runtime would open standard error, and make a pipe non-blocking for all processes that
    // hold it.
    Object.defineProperty(process, "stderr", { value: undefined })
    return new Promise((resolve, reject) => {
      const takeAll = (): void => {
        try {
          const answer = this.#take(take)
          if (answer !== undefined) resolve(answer)
        } catch (error) {
          reject(error)
        }
      }
      takeAll()
      const pipe = new Socket({ fd: this.#pipes.report.readEnd, readable: true, writable: false })
      pipe.on("data", (bytes: Buffer) => {
        this.#add(bytes)
        takeAll()
      })
      pipe.on("error", reject)
      pipe.on("close", () => resolve(undefined))
    })
  }

  #add(bytes: Buffer): void {
    this.#lines.push(...this.#splitter.add(bytes.toString()))
  }

  #take<Answer>(take: (line: string) => Answer | undefined): Answer | undefined {
    for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
      const answer = take(line)
      if (answer !== undefined) return answer
    }
    return undefined
  }

  /** The failed step that a line reports; undefined if the line is something else. */
  failedStep(line: string): StepFailure | undefined {
    return parseStepFailure(line, this.#child.steps)
  }

  /** Asks the data path to end, so that it can still tidy up, and waits for that. */
  end(): void {
    if (this.#hasChild) this.#native.kill(this.process, SIGTERM)
    this.wait()
  }

  /**
   * Kills the data path if it still runs, and waits for its end. Without permission to kill it, relies on the data path
   * to notice the end of this process.
   */
  kill(): void {
    if (this.#hasChild && this.#native.kill(this.process, SIGKILL) === 0) this.wait()
  }

  /** Waits until the data path has ended. Returns how: `status 1`, `signal 9`. */
  wait(): string {
    if (this.#hasChild && this.#native.waitPid(this.process, 0, this.#scratch) > 0) {
      this.#hasChild = false
      const end = parseWaitStatus(this.#arena.words[this.#scratch >> 2])
      this.#end = "signal" in end ? `signal ${end.signal}` : `status ${end.status}`
    }
    return this.#end
  }
}
