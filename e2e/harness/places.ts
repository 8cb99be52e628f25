/** Places to run programs: a named network namespace, or the namespace that pasta has connected. */
import { join } from "node:path"
import { timeLeft } from "./limits.ts"
import { ordinaryUser, reachable } from "./machine.ts"
import { mustRun, type ProcessOptions, Program, type Result, run } from "./processes.ts"

const programs = join(import.meta.dirname, "../programs")

export interface PlaceOptions extends ProcessOptions {
  /** Runs as a user without privileges. */
  readonly ordinary?: boolean
}

/** A place to run programs. Places differ in the prefix of the command line. */
export abstract class Place {
  /** Path of its network namespace. */
  abstract get path(): string

  abstract prefix(): readonly string[]

  start(argv: readonly string[], options: PlaceOptions = {}): Program {
    const user = options.ordinary === true ? ordinaryUser.prefix : []
    return new Program([...this.prefix(), ...user, ...argv], options)
  }

  async run(argv: readonly string[], options: PlaceOptions = {}): Promise<Result> {
    return this.start(argv, { timeout: timeLeft(), ...options }).result
  }

  /** Runs to the end, and returns standard output. Rejects unless the exit status is zero. */
  async must(argv: readonly string[], options: PlaceOptions = {}): Promise<string> {
    const user = options.ordinary === true ? ordinaryUser.prefix : []
    return mustRun([...this.prefix(), ...user, ...argv], options)
  }

  /** Runs a shell script of a few lines. */
  async shell(script: string, options: PlaceOptions = {}): Promise<string> {
    return this.must(["sh", "-euc", script], options)
  }

  async json<T>(argv: readonly string[]): Promise<T> {
    const text = await this.must(argv)
    return JSON.parse(text.trim() === "" ? "[]" : text) as T
  }

  /** Starts one of `programs/` with its request as JSON. */
  startNode(program: string, request: object, options: PlaceOptions = {}): Program {
    const argv = [reachable(process.execPath), reachable(join(programs, program)), JSON.stringify(request)]
    return this.start(argv, options)
  }

  /** Runs to the end, and returns the JSON of the last printed line. */
  async answer<T>(argv: readonly string[], options: PlaceOptions = {}): Promise<T> {
    const { status, signal, stdout, stderr } = await this.run(argv, options)
    const last = stdout.trim().split("\n").at(-1) ?? ""
    if (status !== 0 || last === "") {
      throw new Error(`${argv.join(" ")}: ended with ${status ?? signal}\n${stdout}${stderr}`)
    }
    return JSON.parse(last) as T
  }
}

/** A named network namespace, as `ip netns` makes it. */
export class Namespace extends Place {
  readonly name: string

  constructor(name: string) {
    super()
    this.name = name
  }

  get path(): string {
    return `/run/netns/${this.name}`
  }

  prefix(): readonly string[] {
    return ["nsenter", `--net=${this.path}`]
  }

  async create(): Promise<void> {
    await mustRun(["ip", "netns", "add", this.name])
  }

  /** A line per `ip` command, without the word `ip`. */
  async configure(lines: readonly string[]): Promise<void> {
    await mustRun(["ip", "-n", this.name, "-batch", "-"], { input: `${lines.join("\n")}\n` })
  }

  async set(variables: Readonly<Record<string, string | number>>): Promise<void> {
    const argv = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
    await this.must(["sysctl", "-q", "-w", ...argv])
  }

  /** Removes the namespace, with everything that still runs in it. */
  async remove(): Promise<void> {
    const { stdout } = await run(["ip", "netns", "pids", this.name])
    for (const pid of stdout.split("\n").filter((line) => line !== "")) await run(["kill", "-KILL", pid])
    await run(["ip", "netns", "delete", this.name])
  }
}

/** Namespaces of a process. */
export abstract class ProcessPlace extends Place {
  readonly pid: number

  constructor(pid: number) {
    super()
    this.pid = pid
  }

  get path(): string {
    return `/proc/${this.pid}/ns/net`
  }
}

/** The user, network, mount and PID namespaces of a process that runs inside pasta. */
export class Guest extends ProcessPlace {
  prefix(): readonly string[] {
    return ["nsenter", "--target", String(this.pid), "--user", "--net", "--mount", "--pid", "--"]
  }
}
