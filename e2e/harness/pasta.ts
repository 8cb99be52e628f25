/** pasta under way, with a command that does nothing, so that tests can run programs beside it. */
import { randomUUID } from "node:crypto"
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { afterAll, beforeAll } from "vitest"
import { ordinaryUser, pastaExecutable, reachable, temporaryFolder } from "./machine.ts"
import { Guest, type Namespace, type Place } from "./places.ts"
import { eventually, type ProcessOptions, Program, type Result } from "./processes.ts"
import type { Topology } from "./topology.ts"

export interface PastaOptions {
  /** Command line options; `--config-net` when absent. */
  readonly options?: readonly string[]
  readonly as?: "ordinary" | "root"
  /** Added to the environment. */
  readonly environment?: Readonly<Record<string, string>>
  /** Replaces PATH. */
  readonly path?: string
  /** Sets the congestion control of the guest like that of the topology. */
  readonly cubic?: boolean
}

/** The environment of somebody who has just logged in. */
export function environmentOf(as: "ordinary" | "root"): NodeJS.ProcessEnv {
  const { PATH, LANG } = process.env
  return { PATH, LANG, TERM: "xterm", SHELL: "/bin/sh", HOME: as === "root" ? "/root" : "/tmp", NO_COLOR: "1" }
}

export interface PastaProcessOptions extends ProcessOptions {
  /** Words before the command line, run as root in the host's network namespace: a wrapper. */
  readonly before?: readonly string[]
  /** Replaces PATH for pasta and its command. */
  readonly path?: string
}

/** The words before a command that runs it in a namespace as root or as an ordinary user. */
function identity(place: Place, as: "ordinary" | "root", before: readonly string[] = []): readonly string[] {
  return [...place.prefix(), ...before, ...(as === "ordinary" ? ordinaryUser.prefix : [])]
}

/** Starts pasta with these arguments, whatever they are; ends with it or when the test ends. */
export function startPastaProcess(
  host: Namespace,
  argv: readonly string[],
  as: "ordinary" | "root" = "ordinary",
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
  as: "ordinary" | "root" = "ordinary",
  options: PastaProcessOptions = {},
): Promise<Result> {
  return startPastaProcess(host, argv, as, options).result
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
    // The command says which network namespace it is in, and stays until its input ends.
    const argv = [...(options.options ?? ["--config-net"]), "--", "sh", "-c", "readlink /proc/self/ns/net; exec cat"]
    const program = startPastaProcess(topology.host, argv, options.as, {
      ...(options.path === undefined ? {} : { path: options.path }),
      environment: { ...options.environment, DEMIFLOW_E2E_MARK: mark },
      keepInputOpen: true,
      timeout: 500_000,
    })
    const [, inode = ""] = await program.printed(/^net:\[(\d+)\]$/m)
    // A process that is about to execute another file has no environment to look at for a moment.
    const command = await eventually("the command that pasta runs", () => findCommand(mark, inode))
    const pasta = new Pasta(program, new Guest(command), mark)
    if (options.cubic !== false) {
      const set = ["sysctl", "-q", "-w", "net.ipv4.tcp_congestion_control=cubic"]
      await new Program(["nsenter", `--net=${pasta.guest.path}`, ...set]).result
    }
    return pasta
  }

  /** Everything that pasta started is still marked by its environment. */
  processes(): readonly number[] {
    return markedProcesses(this.#mark)
  }

  /** The process that moves the frames: the one that holds the tap device. */
  get dataPath(): number {
    const found = this.processes().find((pid) => descriptors(pid).includes("/dev/net/tun"))
    if (found === undefined) throw new Error("no process of pasta holds a tap device")
    return found
  }

  /** Ends the command, as a user leaves a shell; pasta follows. */
  async stop(): Promise<Result> {
    this.program.closeInput()
    return this.program.result
  }
}

/** Processes whose environment bears this mark. */
export function markedProcesses(mark: string): readonly number[] {
  return allProcesses().filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").includes(mark)
    } catch {
      return false // Ended since, or a kernel thread.
    }
  })
}

/** Processes in the network namespace with this inode number. */
export function processesInNetwork(inode: string): readonly number[] {
  return allProcesses().filter((pid) => networkOf(pid) === inode)
}

/** What the descriptors of a process refer to. */
export function descriptors(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`)
      } catch {
        return "closed"
      }
    })
  } catch {
    return []
  }
}

/** Resident memory of a process in KiB. */
export function residentMemory(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))
  return Number(match?.[1])
}

function allProcesses(): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

function networkOf(pid: number): string | undefined {
  try {
    return /\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[1]
  } catch {
    return undefined
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
): { readonly guest: Guest; readonly pasta: Pasta } {
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
  }
}

/** A file for pasta to write to or to read, in a folder that any user may enter. */
export function fileFor(name: string): string {
  return `${temporaryFolder("file")}/${name}`
}
