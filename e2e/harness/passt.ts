/** passt running in the foreground, ready for a hypervisor. */
import { join } from "node:path"
import { awaitFile } from "./files.ts"
import { environmentOf, type Identity, identity } from "./identity.ts"
import { timeLeft } from "./limits.ts"
import { passtExecutable, reachable, temporaryFolder } from "./machine.ts"
import type { Namespace } from "./places.ts"
import { type ProcessOptions, Program, type Result } from "./processes.ts"
import type { Topology } from "./topology.ts"

export interface PasstProcessOptions extends ProcessOptions {
  /** Words before the command line, run as root in the host's network namespace: a wrapper. */
  readonly before?: readonly string[]
  readonly as?: Identity
  /** Replaces the command that is built here. */
  readonly executable?: readonly string[]
}

/** The command line of passt with these arguments. */
export function passtCommand(
  host: Namespace,
  argv: readonly string[],
  options: PasstProcessOptions = {},
): readonly string[] {
  const { as = "ordinary", before, executable = [reachable(passtExecutable)] } = options
  return [...identity(host, as, before), ...executable, ...argv]
}

/** Starts passt with these arguments, whatever they are; ends with it or when the test ends. */
export function startPasstProcess(
  host: Namespace,
  argv: readonly string[],
  options: PasstProcessOptions = {},
): Program {
  const environment = { ...environmentOf(options.as ?? "ordinary"), ...options.environment }
  return new Program(passtCommand(host, argv, options), { ...options, environment })
}

/** Runs passt with these arguments to its end. */
export function runPasst(host: Namespace, argv: readonly string[], options: PasstProcessOptions = {}): Promise<Result> {
  return startPasstProcess(host, argv, { timeout: timeLeft(), ...options }).result
}

export class Passt {
  readonly program: Program
  /** Path of the socket for the hypervisor. */
  readonly socket: string
  /** The data path. */
  readonly pid: number

  constructor(program: Program, socket: string, pid: number) {
    this.program = program
    this.socket = socket
    this.pid = pid
  }

  /** Starts passt in the foreground, with these further options. Resolves once it listens on its socket. */
  static async start(
    topology: Topology,
    options: readonly string[] = [],
    settings: PasstProcessOptions = {},
  ): Promise<Passt> {
    const folder = temporaryFolder("passt")
    const socket = join(folder, "socket")
    // Written once initialisation is done.
    const pid = awaitFile(join(folder, "pid"))
    const program = startPasstProcess(topology.host, ["-f", "-s", socket, "-P", join(folder, "pid"), ...options], {
      ...settings,
    })
    program.result.finally(() => pid.forget())
    const text = await pid.text
    if (text === undefined) throw new Error(`passt ended before it was ready: ${JSON.stringify(await program.result)}`)
    return new Passt(program, socket, Number(text))
  }

  stop(): Promise<Result> {
    return this.program.stop()
  }
}
