/**
 * Child processes of the tests: tests start them, wait for their output, and end them with all their
 * descendants. Nothing here sleeps: a caller waits for a line, or for the end.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { isInCase, timeLeft } from "./limits.ts"
import { noteRefusals } from "./refusals.ts"

/** The result of a process that has ended. */
export interface Result {
  /** Exit status, or null when a signal ended it. */
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface ProcessOptions {
  /** Replaces the environment, instead of adding to it. */
  readonly environment?: NodeJS.ProcessEnv
  readonly workingDirectory?: string
  /** Written to standard input, which is closed afterwards. Absent: standard input is empty. */
  readonly input?: string | Buffer
  /** Leaves standard input open, for `write` and `closeInput`. */
  readonly keepInputOpen?: boolean
  /**
   * Milliseconds before the process is killed and `result` rejects. Absent: the time left in the case that starts it; a
   * process that a hook starts runs until it is ended.
   */
  readonly timeout?: number
  /** True where a test makes a program of ours try refused system calls. */
  readonly expectsRefusals?: boolean
}

/** Process groups that still exist; they are killed when the test process ends for any reason. */
const alive = new Set<number>()

process.on("exit", () => {
  for (const group of alive) killGroup(group, "SIGKILL")
})

function killGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal)
  } catch {
    // The group is already gone.
  }
}

interface Waiter {
  readonly pattern: RegExp
  readonly stream: "stdout" | "stderr"
  readonly resolve: (match: RegExpExecArray) => void
  readonly reject: (error: Error) => void
}

/** A running process, in a process group of its own. */
export class Program {
  readonly command: string
  readonly pid: number
  /** Settles when the process has ended and its output is complete. */
  readonly result: Promise<Result>
  stdout = ""
  stderr = ""
  readonly #child: ChildProcess
  readonly #waiters = new Set<Waiter>()
  #ended = false

  constructor(argv: readonly string[], options: ProcessOptions = {}) {
    const [file = "", ...rest] = argv
    this.command = argv.join(" ")
    this.#child = spawn(file, rest, {
      cwd: options.workingDirectory,
      detached: true,
      env: options.environment ?? process.env,
      stdio: ["pipe", "pipe", "pipe"],
    })
    this.pid = this.#child.pid ?? 0
    if (this.pid > 0) alive.add(this.pid)
    this.#child.stdin?.on("error", () => {}) // The process may end before it has read everything.
    if (options.input !== undefined) this.#child.stdin?.end(options.input)
    else if (options.keepInputOpen !== true) this.#child.stdin?.end()
    for (const stream of ["stdout", "stderr"] as const) {
      this.#child[stream]?.setEncoding("utf8").on("data", (text: string) => {
        this[stream] += text
        this.#wake()
      })
    }
    this.result = this.#settle(options, options.timeout ?? (isInCase() ? timeLeft() : undefined))
    this.result.catch(() => {}) // A caller that awaits the result gets the error; without one it is ignored.
  }

  #settle(options: ProcessOptions, timeout: number | undefined): Promise<Result> {
    return new Promise((resolve, reject) => {
      let late = false
      const giveUp = () => {
        late = true
        this.kill()
      }
      const timer = timeout === undefined ? undefined : setTimeout(giveUp, timeout)
      const finish = (error?: Error, status: number | null = null, signal: NodeJS.Signals | null = null) => {
        clearTimeout(timer)
        this.#ended = true
        alive.delete(this.pid)
        if (options.expectsRefusals !== true) noteRefusals(this.command, this.stdout + this.stderr)
        for (const { pattern, reject } of this.#waiters) reject(this.#failure(`ended without printing ${pattern}`))
        this.#waiters.clear()
        if (error !== undefined) reject(error)
        else if (late) reject(this.#failure(`still ran after ${timeout} ms`))
        else resolve({ status, signal, stdout: this.stdout, stderr: this.stderr })
      }
      this.#child.on("error", (error) => finish(error))
      this.#child.on("close", (status, signal) => finish(undefined, status, signal))
    })
  }

  #failure(what: string): Error {
    const tail = (text: string) => text.slice(-4000)
    return new Error(`${this.command}: ${what}\nstdout: ${tail(this.stdout)}\nstderr: ${tail(this.stderr)}`)
  }

  #wake(): void {
    for (const waiter of this.#waiters) {
      const match = waiter.pattern.exec(this[waiter.stream])
      if (match === null) continue
      this.#waiters.delete(waiter)
      waiter.resolve(match)
    }
  }

  /** Resolves once the output matches; rejects when the process ends first, or when the case has no time left. */
  printed(pattern: RegExp, stream: "stdout" | "stderr" = "stdout"): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const there = pattern.exec(this[stream])
      if (there !== null) return resolve(there)
      if (this.#ended) return reject(this.#failure(`ended without printing ${pattern}`))
      const timeout = timeLeft()
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter)
        reject(this.#failure(`did not print ${pattern} in ${timeout} ms`))
      }, timeout)
      const waiter: Waiter = {
        pattern,
        stream,
        resolve: (match) => {
          clearTimeout(timer)
          resolve(match)
        },
        reject: (error) => {
          clearTimeout(timer)
          reject(error)
        },
      }
      this.#waiters.add(waiter)
    })
  }

  get ended(): boolean {
    return this.#ended
  }

  write(text: string): void {
    this.#child.stdin?.write(text)
  }

  closeInput(): void {
    this.#child.stdin?.end()
  }

  /** Signals only the process, not those that it started. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Ends the process and its whole group at once. */
  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    if (!this.#ended) killGroup(this.pid, signal)
  }

  /** Asks the process to end, and waits for that. */
  async stop(): Promise<Result> {
    this.kill("SIGTERM")
    return this.result
  }
}

/** Runs to the end. Rejects only when the case has no time left, or when the file can't be executed. */
export async function run(argv: readonly string[], options: ProcessOptions = {}): Promise<Result> {
  return new Program(argv, { timeout: timeLeft(), ...options }).result
}

/** Runs to the end and rejects unless the exit status is zero. */
export async function mustRun(argv: readonly string[], options: ProcessOptions = {}): Promise<string> {
  const { status, signal, stdout, stderr } = await run(argv, options)
  if (status !== 0) throw new Error(`${argv.join(" ")}: ended with ${status ?? signal}\n${stdout}${stderr}`)
  return stdout
}

/** Polls `probe` until it returns a value, for states that nothing announces. */
export async function eventually<T>(what: string, probe: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const timeout = timeLeft()
  const end = Date.now() + timeout
  // A probe may run a program, so the interval grows with time.
  for (let pause = 20; ; pause = Math.min(pause * 1.3, 300)) {
    const value = await probe()
    if (value !== undefined) return value
    if (Date.now() > end) throw new Error(`not seen in ${timeout} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}
