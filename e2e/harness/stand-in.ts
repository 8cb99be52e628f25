/**
 * The stand-in for a virtual machine behind passt: a network namespace behind `stand-in/stand-in.c`, or by vhost-user
 * behind `vhost-stand-in/main.c`.
 */
import { afterAll, beforeAll } from "vitest"
import { compiled } from "./compile.ts"
import { Passt, type PasstProcessOptions } from "./passt.ts"
import { Namespace } from "./places.ts"
import { Program, type Result } from "./processes.ts"
import { families, type Topology } from "./topology.ts"

/** Counts of a stand-in. */
export interface StandInCounts {
  readonly toPasst: number
  readonly fromPasst: number
  /** Frames that the guest's kernel refused. */
  readonly refused: number
  /** True if passt ended the connection. */
  readonly closed: boolean
  /** Frames that use what was not negotiated. By vhost-user only, like all that follow. */
  readonly unwanted?: number
  /** Frames with segments, of both directions. */
  readonly segments?: number
  /** Written pages that the log lacks. */
  readonly unlogged?: number
  /** The features that were negotiated, in hexadecimal. */
  readonly features?: string
}

export interface GuestOptions {
  /** MTU of the guest's interface, 65520 when absent. */
  readonly mtu?: number
  /** Ethernet address of the guest's interface; another one each time when absent. */
  readonly mac?: string
  /** Leaves the interface as the kernel makes it: down, without addresses. */
  readonly unconfigured?: boolean
  /** Connects the guest by vhost-user, with these words for `vhost-stand-in/main.c`. */
  readonly vhostUser?: readonly string[]
}

const DEFAULT_MTU = 65_520

/** The guest's interface. */
export const DEVICE = "eth0"

let guests = 0

/** A namespace in place of a virtual machine. It stays while hypervisors come and go. */
export async function createGuest(): Promise<Namespace> {
  const guest = new Namespace(`df-${process.pid}-${++guests}-guest`)
  await guest.create()
  await guest.configure(["link set lo up"])
  await guest.set({
    "net.ipv6.conf.default.accept_dad": 0,
    // A namespace with static addresses must not solicit others.
    "net.ipv6.conf.default.accept_ra": 0,
    "net.ipv4.tcp_no_metrics_save": 1,
    "net.ipv4.icmp_ratemask": 0,
    "net.ipv6.icmp.ratelimit": 0,
    "net.ipv4.ping_group_range": "0 2147483647",
  })
  await guest.run(["sysctl", "-q", "-w", "net.ipv4.tcp_congestion_control=cubic"])
  return guest
}

/** The command line of a stand-in in a guest's namespace. `socket` is a path, or "fd:" and a number. */
export function standInCommand(guest: Namespace, socket: string, { mtu, vhostUser }: GuestOptions = {}): string[] {
  if (vhostUser === undefined) return [...guest.prefix(), compiled("stand-in"), DEVICE, socket]
  return [...guest.prefix(), compiled("vhost-stand-in"), DEVICE, socket, `mtu=${mtu ?? DEFAULT_MTU}`, ...vhostUser]
}

/** Configures the guest as passt would: with the host's own addresses and gateways. */
export async function configureGuest(guest: Namespace, options: GuestOptions = {}): Promise<void> {
  await guest.configure([
    ...(options.mac === undefined ? [] : [`link set ${DEVICE} address ${options.mac}`]),
    // The queue is as long as a virtual machine's, where a full socket stops the sender.
    `link set ${DEVICE} mtu ${options.mtu ?? DEFAULT_MTU} txqueuelen 10000 up`,
    ...families.flatMap(({ version, host, prefixLength, gateway }) => [
      `addr add ${host}/${prefixLength} dev ${DEVICE}${version === 6 ? " nodad" : ""}`,
      `route add default via ${gateway}`,
    ]),
  ])
}

/** A hypervisor at passt's socket. Its end is the end of the hypervisor. */
export class StandIn {
  readonly program: Program

  constructor(program: Program) {
    this.program = program
  }

  static async start(guest: Namespace, socket: string, options: GuestOptions = {}): Promise<StandIn> {
    const program = new Program(standInCommand(guest, socket, options))
    await program.printed(/^connected$/m)
    if (options.unconfigured !== true) await configureGuest(guest, options)
    return new StandIn(program)
  }

  /** Unplugs it. */
  async stop(): Promise<StandInCounts> {
    return counts(await this.program.stop())
  }

  /** Waits for passt to unplug it. */
  async unplugged(): Promise<StandInCounts> {
    return counts(await this.program.result)
  }
}

function counts({ stdout, stderr }: Result): StandInCounts {
  const last = stdout.trim().split("\n").at(-1) ?? ""
  if (!last.startsWith("{")) throw new Error(`the stand-in failed: ${stderr}`)
  return JSON.parse(last) as StandInCounts
}

export interface PasstOptions extends GuestOptions {
  /** Command line options. */
  readonly options?: readonly string[]
  readonly settings?: PasstProcessOptions
}

/** passt with a guest. */
export class Connection {
  readonly passt: Passt
  readonly guest: Namespace
  #standIn: StandIn
  readonly #options: PasstOptions

  constructor(passt: Passt, guest: Namespace, standIn: StandIn, options: PasstOptions) {
    this.passt = passt
    this.guest = guest
    this.#standIn = standIn
    this.#options = options
  }

  static async start(topology: Topology, options: PasstOptions = {}): Promise<Connection> {
    const mtu = options.mtu === undefined ? [] : ["-m", String(options.mtu)]
    const mode = options.vhostUser === undefined ? [] : ["--vhost-user"]
    const passt = await Passt.start(topology, [...mode, ...mtu, ...(options.options ?? [])], options.settings)
    const guest = await createGuest()
    return new Connection(passt, guest, await StandIn.start(guest, passt.socket, options), options)
  }

  get standIn(): StandIn {
    return this.#standIn
  }

  /** Puts another hypervisor in the place of one that has ended, with some other options if there are any. */
  async reconnect(options: GuestOptions = {}): Promise<void> {
    this.#standIn = await StandIn.start(this.guest, this.passt.socket, { ...this.#options, ...options })
  }

  /** Ends everything. Returns passt's result. */
  async stop(): Promise<Result> {
    if (!this.#standIn.program.ended) await this.#standIn.stop()
    const result = await this.passt.stop()
    await this.guest.remove()
    return result
  }
}

export interface RunningPasst {
  readonly guest: Namespace
  readonly dataPath: number
  readonly connection: Connection
}

/** One passt with its guest for all tests of the file or `describe` block that calls this. */
export function usePasst(topology: Topology, options: PasstOptions = {}): RunningPasst {
  let connection: Connection | undefined
  beforeAll(async () => {
    connection = await Connection.start(topology, options)
  })
  afterAll(async () => {
    await connection?.stop()
  })
  const running = (): Connection => {
    if (connection === undefined) throw new Error("passt runs only while tests do")
    return connection
  }
  return {
    get guest() {
      return running().guest
    },
    get dataPath() {
      return running().passt.pid
    },
    get connection() {
      return running()
    },
  }
}
