/** pasta in the background, for a namespace that exists. */
import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { Identity } from "./identity.ts"
import { isRunning, markedProcesses } from "./inspection.ts"
import { temporaryFolder } from "./machine.ts"
import { type PastaProcessOptions, runPasta } from "./pasta.ts"
import type { Namespace } from "./places.ts"
import { eventually, type Result } from "./processes.ts"

export interface BackgroundOptions extends PastaProcessOptions {
  readonly as?: Identity
}

export class BackgroundPasta {
  /** The result of the first process. */
  readonly result: Result
  readonly pidFile: string
  /** The process that stays. */
  readonly pid: number

  constructor(result: Result, pidFile: string, pid: number) {
    this.result = result
    this.pidFile = pidFile
    this.pid = pid
  }

  /** Starts pasta, and waits until the first process has ended successfully. */
  static async start(
    host: Namespace,
    argv: readonly string[],
    options: BackgroundOptions = {},
  ): Promise<BackgroundPasta> {
    const folder = temporaryFolder("background")
    const pidFile = join(folder, "pid")
    // Later options name another file.
    const result = await runPasta(host, ["-P", pidFile, "-l", join(folder, "log"), ...argv], options.as, options)
    if (result.status !== 0) throw new Error(`pasta ended before it was ready: ${JSON.stringify(result)}`)
    return new BackgroundPasta(result, pidFile, Number(readFileSync(pidFile, "utf8")))
  }

  get isRunning(): boolean {
    return isRunning(this.pid)
  }

  async ended(): Promise<void> {
    await eventually("pasta has ended", () => (this.isRunning ? undefined : true))
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.isRunning) process.kill(this.pid, signal)
    await this.ended()
  }
}

/** Runs pasta in the background while `body` runs. */
export async function inBackground(
  host: Namespace,
  argv: readonly string[],
  body: (pasta: BackgroundPasta) => Promise<void>,
  options: BackgroundOptions = {},
): Promise<void> {
  const pasta = await BackgroundPasta.start(host, argv, options)
  try {
    await body(pasta)
  } finally {
    await pasta.stop()
  }
}

/** Runs pasta to its end. Returns the processes that it has left behind, which should be none. */
export async function runAndFindRest(
  host: Namespace,
  argv: readonly string[],
  options: BackgroundOptions = {},
): Promise<Result & { readonly left: readonly number[] }> {
  const mark = randomUUID()
  const environment = { ...options.environment, DEMIFLOW_E2E_MARK: mark }
  const result = await runPasta(host, argv, options.as, { ...options, environment })
  return { ...result, left: markedProcesses(mark).filter(isRunning) }
}
