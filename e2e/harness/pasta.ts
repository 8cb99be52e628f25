/** pasta running a command that does nothing, so that tests can run programs beside it. */
import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { afterAll, beforeAll } from "vitest"
import { environmentOf, type Identity, identity } from "./identity.ts"
import { descriptors, markedProcesses, networkOf } from "./inspection.ts"
import { timeLeft } from "./limits.ts"
import { pastaExecutable, reachable } from "./machine.ts"
import { Guest, type Namespace } from "./places.ts"
import { eventually, type ProcessOptions, Program, type Result } from "./processes.ts"
import type { Topology } from "./topology.ts"

export interface PastaOptions {
  /** Command line options; `--config-net` when absent. */
  readonly options?: readonly string[]
  readonly as?: Identity
  /** Words before the command line, run as root in the host's network namespace: a wrapper. */
  readonly before?: readonly string[]
  /** Added to the environment. */
  readonly environment?: Readonly<Record<string, string>>
  /** Replaces PATH. */
  readonly path?: string
  /** Sets the congestion control of the guest like that of the topology. */
  readonly cubic?: boolean
}

export interface PastaProcessOptions extends ProcessOptions {
  /** Words before the command line, run as root in the host's network namespace: a wrapper. */
  readonly before?: readonly string[]
  /** Replaces PATH for pasta and its command. */
  readonly path?: string
}

/** Starts pasta with these arguments, whatever they are; ends with it or when the test ends. */
export function startPastaProcess(
  host: Namespace,
  argv: readonly string[],
  as: Identity = "ordinary",
  options: PastaProcessOptions = {},
): Program {
  const environment = { ...environmentOf(as), ...options.environment }
  const path = options.path === undefined ? [] : ["env", `PATH=${options.path}`]
  return new Program([...identity(host, as, options.before), ...path, reachable(pastaExecutable), ...argv], {
    ...options,
    environment,
  })
}

/** Runs pasta with these arguments to its end. */
export function runPasta(
  host: Namespace,
  argv: readonly string[],
  as: Identity = "ordinary",
  options: PastaProcessOptions = {},
): Promise<Result> {
  return startPastaProcess(host, argv, as, { timeout: timeLeft(), ...options }).result
}

export class Pasta {
  readonly program: Program
  readonly guest: Guest
  readonly #mark: string

  constructor(program: Program, guest: Guest, mark: string) {
    this.program = program
    this.guest = guest
    this.#mark = mark
  }

  static async start(topology: Topology, options: PastaOptions = {}): Promise<Pasta> {
    const mark = randomUUID()
    // The command prints its network namespace, and stays until its input ends.
    const argv = [...(options.options ?? ["--config-net"]), "--", "sh", "-c", "readlink /proc/self/ns/net; exec cat"]
    const program = startPastaProcess(topology.host, argv, options.as, {
      ...(options.path === undefined ? {} : { path: options.path }),
      ...(options.before === undefined ? {} : { before: options.before }),
      environment: { ...options.environment, DEMIFLOW_E2E_MARK: mark },
      keepInputOpen: true,
    })
    const [, inode = ""] = await program.printed(/^net:\[(\d+)\]$/m)
    // A process that is about to execute another file briefly has no environment to read.
    const command = await eventually("the command that pasta runs", () => findCommand(mark, inode))
    const pasta = new Pasta(program, new Guest(command), mark)
    if (options.cubic !== false) {
      const set = ["sysctl", "-q", "-w", "net.ipv4.tcp_congestion_control=cubic"]
      await new Program(["nsenter", `--net=${pasta.guest.path}`, ...set]).result
    }
    return pasta
  }

  /** All processes that pasta started, which are marked by their environment. */
  processes(): readonly number[] {
    return markedProcesses(this.#mark)
  }

  /** The data path: the process that holds the tap device. */
  get dataPath(): number {
    const found = this.processes().find((pid) => descriptors(pid).includes("/dev/net/tun"))
    if (found === undefined) throw new Error("no process of pasta holds a tap device")
    return found
  }

  /** Ends the command, like a user who leaves a shell; pasta follows. */
  async stop(): Promise<Result> {
    this.program.closeInput()
    return this.program.result
  }
}

function findCommand(mark: string, inode: string): number | undefined {
  return markedProcesses(mark).find((pid) => networkOf(pid) === inode && commandName(pid) === "cat")
}

function commandName(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim()
  } catch {
    return ""
  }
}

/** One pasta for all tests of the file or `describe` block that calls this. */
export function usePasta(
  topology: Topology,
  options: PastaOptions = {},
): { readonly guest: Guest; readonly pasta: Pasta; readonly dataPath: number } {
  let pasta: Pasta | undefined
  beforeAll(async () => {
    pasta = await Pasta.start(topology, options)
  })
  afterAll(async () => {
    await pasta?.stop()
  })
  const running = (): Pasta => {
    if (pasta === undefined) throw new Error("pasta runs only while tests do")
    return pasta
  }
  return {
    get guest() {
      return running().guest
    },
    get pasta() {
      return running()
    },
    get dataPath() {
      return running().dataPath
    },
  }
}
