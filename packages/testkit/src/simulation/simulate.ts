/**
 * Whole transfers through a stack, under schedules drawn from a seed: frames lost, late, duplicated and damaged,
 * windows of a few bytes, sockets that take few bytes at a time, connections that end halfway, at once or by a reset.
 *
 * The invariants: each end receives the other's bytes once and in order; all of them, unless the
 * connection was reset; and afterwards no flow, no socket and no deadline is left.
 */
import { Address, Errno, IpProtocol, type Log, type ProtocolPlugin, silentLog } from "@demiflow/core"
import { toHex } from "../bytes.ts"
import type { GuestConnection } from "../guest/guest-connection.ts"
import { GuestTcp } from "../guest/guest-tcp.ts"
import type { WorldConnection } from "../host/world-connection.ts"
import { type MemoryStack, memoryStack } from "../memory-stack.ts"
import { describePacket } from "../packets/describe.ts"
import { RecordingLog } from "../recording-log.ts"
import { environmentVariable, type SeededRandom, withMore, withSeed } from "../seeded-random.ts"
import { Party } from "./party.ts"
import { type ConnectionPlan, drawScenario, type Scenario } from "./scenario.ts"

/** Options of a simulation. */
export interface SimulationOptions {
  /** Returns the protocols of a run; TCP must be among them. Options may be drawn from the generator. */
  readonly plugins: (random: SeededRandom) => readonly ProtocolPlugin[]
  /** Changes the scenario that the seed decided. */
  readonly adjust?: (scenario: Scenario) => Scenario
  /** Milliseconds of virtual time in which everything must have ended; six hours by default. */
  readonly limit?: number
}

/** The result of a run. */
export interface SimulationReport {
  readonly seed: number
  /** Connections that ended in order, with all bytes delivered in both directions. */
  readonly completed: number
  /** Connections that were reset, refused or given up. */
  readonly failed: number
  readonly bytesToHost: number
  readonly bytesToGuest: number
  /** Milliseconds of virtual time until the last connection was over. */
  readonly duration: number
}

const SIX_HOURS = 6 * 3_600_000
const TRACE_LINES = 300
/** The host's address, and the difference between a guest's port and the host's port that leads to it. */
const HOST_ADDRESS = { v4: "192.0.2.1", v6: "2001:db8::1" }
const GUEST_PORT_OFFSET = 10_000
const FIRST_WORLD_PORT = 20_000
/** Milliseconds after the last fault (RFC 9293, section 3.8.4). */
const KEEP_ALIVE_AFTER = 7_200_000

/**
 * Runs the scenario of a seed. Throws `SimulationError` if an invariant is violated, or what a plug-in threw. With
 * the environment variable `DEMIFLOW_TRACE` set, the message contains the last frames and log messages.
 */
export function simulate(seed: number, options: SimulationOptions): SimulationReport {
  return withSeed(seed, (random) => {
    const run = new Simulation(random, options)
    try {
      return run.run()
    } catch (error) {
      throw withMore(error, run.describe())
    }
  })
}

/** An invariant was violated. */
export class SimulationError extends Error {
  readonly code = "ERR_SIMULATION"

  constructor(message: string) {
    super(message)
    this.name = "SimulationError"
  }
}

interface Attempt {
  readonly plan: ConnectionPlan
  guest: GuestConnection | undefined
  guestParty: Party | undefined
  readonly worlds: { readonly connection: WorldConnection; readonly party: Party }[]
  isRepeated: boolean
}

class Simulation {
  readonly #random: SeededRandom
  readonly #options: SimulationOptions
  readonly #scenario: Scenario
  readonly #bench: MemoryStack
  readonly #tcp: GuestTcp
  readonly #attempts: Attempt[]
  readonly #trace: string[] = []
  readonly #log: Log
  /** Ports of the host at which the stack was asked to listen. */
  readonly #listened = new Set<number>()
  #nextWorldPort = FIRST_WORLD_PORT

  constructor(random: SeededRandom, options: SimulationOptions) {
    const drawn = drawScenario(random)
    const isTracing = environmentVariable("DEMIFLOW_TRACE") !== undefined
    this.#random = random
    this.#options = options
    this.#scenario = options.adjust?.(drawn) ?? drawn
    this.#log = isTracing ? new TracingLog(this.#trace) : silentLog
    const { link, sockets, hostFaults, capacity, slowGuest } = this.#scenario
    this.#bench = memoryStack(options.plugins(random), {
      seed: random.int32(),
      link,
      capacity,
      sockets: { ...sockets, faults: hostFaults },
      fromGuest: this.#scenario.fromGuest,
      toGuest: this.#scenario.toGuest,
      ...(slowGuest === undefined ? {} : { slowGuest }),
      log: this.#log,
    })
    this.#tcp = new GuestTcp(this.#bench.guest, { random: random.fork(), dropsDamaged: true })
    if (isTracing) this.#traceFrames()
    this.#attempts = this.#scenario.connections.map((plan) => this.#prepare(plan))
  }

  run(): SimulationReport {
    const { clock } = this.#bench
    const start = clock.now
    clock.schedule(this.#scenario.faultsUntil, () => this.#bench.endFaults())
    // A lost reset is not retransmitted: a silent guest finds out by a keep-alive probe, hours later.
    clock.schedule(this.#scenario.faultsUntil + KEEP_ALIVE_AFTER, () => {
      for (const { guest } of this.#attempts) guest?.keepAlive()
    })
    const isOver = () => {
      // Checked at once, while the trace still shows the cause.
      const violation = this.#tcp.violations[0] ?? this.#bench.sockets.violations[0]
      if (violation !== undefined) throw new SimulationError(violation)
      return this.#attempts.every((attempt) => this.#isOver(attempt) && !this.#repeat(attempt))
    }
    if (!clock.runUntil(isOver, this.#options.limit ?? SIX_HOURS)) {
      throw new SimulationError(`after ${clock.now - start} ms not all connections are over`)
    }
    const duration = clock.now - start
    // Leftovers in the stack must end by themselves: timers expire, nothing else happens.
    clock.runUntil(() => this.#bench.leftovers().length === 0 && this.#tcp.connections.length === 0, SIX_HOURS)
    const problems = [
      ...this.#bench.leftovers(),
      ...this.#tcp.violations,
      ...this.#attempts.flatMap((attempt) => this.#check(attempt)),
    ]
    if (problems.length > 0) throw new SimulationError(problems.join("\n"))
    return this.#report(duration)
  }

  /** The scenario, and the state of its connections. */
  describe(): string {
    const { connections, ...surroundings } = this.#scenario
    const lines = [JSON.stringify(surroundings)]
    for (const { plan, guest, worlds } of this.#attempts) {
      const world = worlds.map(({ connection }) => {
        const state = connection.isReset ? "reset" : connection.isEnded ? "ended" : "open"
        return `${connection.failure ?? state}, ${connection.receivedLength} received, ${connection.unacknowledged} unacknowledged`
      })
      lines.push(JSON.stringify(plan))
      lines.push(
        `  guest: ${guest ?? "not begun"}, ${guest?.failure ?? "no failure"}, ${guest?.receivedLength} received, ` +
          `${guest?.unacknowledged} unacknowledged; world: ${world.join(" / ") || "nobody"}`,
      )
    }
    lines.push(`at ${this.#bench.clock.now} ms; drops: ${JSON.stringify(this.#bench.drops.entries())}`)
    return [...lines, ...this.#trace.slice(-TRACE_LINES)].join("\n")
  }

  #prepare(drawn: ConnectionPlan): Attempt {
    const isFromWorld = drawn.startedBy === "world" && this.#listenFor(drawn)
    const plan: ConnectionPlan = isFromWorld ? drawn : { ...drawn, startedBy: "guest" }
    const attempt: Attempt = { plan, guest: undefined, guestParty: undefined, worlds: [], isRepeated: false }
    if (isFromWorld) this.#prepareFromWorld(attempt)
    else this.#prepareFromGuest(attempt)
    return attempt
  }

  /** Has the stack listen for a plan's connections. False if its TCP doesn't listen at all. */
  #listenFor({ port, guestAddress }: ConnectionPlan): boolean {
    if (this.#listened.has(port)) return true
    const end = { address: undefined, port, interfaceName: undefined, freebind: false }
    const target = Address.parse(guestAddress)
    const listener = this.#bench.stack.listen(IpProtocol.tcp, end, target, port + GUEST_PORT_OFFSET)
    if (listener === -Errno.EPROTONOSUPPORT) return false
    // Without a descriptor for it, a connection is refused.
    if (listener < 0 && listener !== -Errno.EMFILE) throw new SimulationError(`listening is answered with ${listener}`)
    this.#listened.add(port)
    return true
  }

  #prepareFromWorld(attempt: Attempt): void {
    const { plan } = attempt
    const { sockets, clock, guest } = this.#bench
    const guestPort = plan.port + GUEST_PORT_OFFSET
    if (plan.outcome === "accept") {
      const stop = this.#tcp.listen(
        guestPort,
        (connection) => {
          // A late SYN of a forgotten connection begins none: no party would end it.
          stop()
          this.#addGuest(attempt, connection)
        },
        { ...plan.options, ...plan.successor },
      )
    } else if (plan.outcome === "silent") guest.onFrame((frame) => frame.tcp?.targetPort === guestPort)
    clock.schedule(plan.startsAt, () => {
      const from = { address: plan.worldAddress, port: plan.successor?.fromPort ?? this.#nextWorldPort++ }
      const to = { address: plan.isV4 ? HOST_ADDRESS.v4 : HOST_ADDRESS.v6, port: plan.port }
      this.#addWorld(attempt, sockets.world.connect(from, to, { receiveBuffer: plan.worldBuffer }))
    })
  }

  #prepareFromGuest(attempt: Attempt): void {
    const { plan } = attempt
    const { sockets, clock } = this.#bench
    if (plan.outcome === "accept") {
      sockets.world.listen(
        { address: plan.worldAddress, port: plan.port },
        {
          receiveBuffer: plan.worldBuffer,
          acceptDelay: plan.acceptDelay,
          onConnection: (connection) => this.#addWorld(attempt, connection),
        },
      )
    } else sockets.world.route(plan.worldAddress, { tcp: plan.outcome })
    clock.schedule(plan.startsAt, () => {
      const guest = this.#tcp.connect({
        ...plan.options,
        ...plan.successor,
        address: plan.worldAddress,
        port: plan.port,
        fromAddress: plan.guestAddress,
      })
      this.#addGuest(attempt, guest)
    })
  }

  #addGuest(attempt: Attempt, guest: GuestConnection): void {
    const { clock } = this.#bench
    const { plan } = attempt
    attempt.guest = guest
    attempt.guestParty = new Party(plan.guest, clock, this.#random.fork(), guest)
    if (plan.vanishesAfter !== undefined) clock.schedule(plan.vanishesAfter, () => guest.vanish())
  }

  #addWorld(attempt: Attempt, connection: WorldConnection): void {
    const party = new Party(attempt.plan.world, this.#bench.clock, this.#random.fork(), connection)
    attempt.worlds.push({ connection, party })
  }

  /** Begins a connection anew, if planned and not yet done: from the same port, with later sequence numbers. */
  #repeat(attempt: Attempt): boolean {
    const { plan, guest, worlds } = attempt
    if (plan.repeatsAfter === undefined || guest === undefined || attempt.isRepeated) return false
    attempt.isRepeated = true
    const fromPort = plan.startedBy === "guest" ? guest.ends.port : worlds[0].connection.port
    const successor = { fromPort, initialSequence: guest.lastSequence + 100_000 }
    this.#attempts.push(this.#prepare({ ...plan, startsAt: plan.repeatsAfter, repeatsAfter: undefined, successor }))
    return true
  }

  #isOver({ plan, guest, guestParty, worlds }: Attempt): boolean {
    const isWorldOver = worlds.every(({ connection, party }) => {
      if (connection.isReset || connection.failure !== undefined) party.stop()
      return connection.isOver
    })
    // A connection that the world begins may not reach the guest.
    if (guest === undefined) return plan.startedBy === "world" && worlds.length > 0 && isWorldOver
    if (guest.failure !== undefined) guestParty?.stop()
    // A connection that ends in order is over once everything was read.
    return isWorldOver && (guest.failure !== undefined || (guest.isFinished && guest.isEnded))
  }

  #check({ plan, guest, guestParty, worlds }: Attempt): string[] {
    const name = `port ${plan.port}`
    if (guest === undefined || guestParty === undefined) {
      return this.#mayFail(plan) ? [] : [`${name}: the connection was never begun, or never got to the guest`]
    }
    const problems: string[] = []
    const up = guestParty.content
    for (const { connection } of worlds) {
      problems.push(...compareStreams(`${name}, towards the host`, connection.received, up, connection.isEnded))
    }
    const content = worlds.at(-1)?.party.content ?? new Uint8Array(0)
    problems.push(...compareStreams(`${name}, towards the guest`, guest.received, content, guest.isEnded))
    if (!this.#mayFail(plan) && !isComplete(guest, worlds)) {
      problems.push(`${name}: it should have ended in order, and did not`)
    }
    return problems
  }

  /** True if an event of the connection allows it to end out of order. */
  #mayFail(plan: ConnectionPlan): boolean {
    const { fromGuest, toGuest, sockets, capacity } = this.#scenario
    const isBad = [fromGuest, toGuest].some(({ loss = 0, corruption = 0 }) => loss + corruption > 0.06)
    const isReset = plan.guest.resetAfter !== undefined || plan.world.resetAfter !== undefined
    const places = Math.min(sockets.descriptors ?? Number.POSITIVE_INFINITY, capacity)
    const isShort = places < this.#attempts.length + this.#listened.size
    return isBad || isReset || isShort || plan.vanishesAfter !== undefined || plan.outcome !== "accept"
  }

  #report(duration: number): SimulationReport {
    const isGood = ({ guest, worlds }: Attempt) => guest !== undefined && isComplete(guest, worlds)
    const completed = this.#attempts.filter(isGood).length
    const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
    return {
      seed: this.#random.seed,
      completed,
      failed: this.#attempts.length - completed,
      bytesToHost: sum(
        this.#attempts.flatMap(({ worlds }) => worlds.map(({ connection }) => connection.receivedLength)),
      ),
      bytesToGuest: sum(this.#attempts.map(({ guest }) => guest?.receivedLength ?? 0)),
      duration,
    }
  }

  #traceFrames(): void {
    const { guest, clock } = this.#bench
    guest.onFrame((frame) => {
      this.#trace.push(`${clock.now} → guest ${describePacket(frame)}`)
      return false
    })
    guest.onSend = (frame) => this.#trace.push(`${clock.now} guest → ${describePacket(frame)}`)
  }
}

/** Keeps log messages in order with the frames. */
class TracingLog extends RecordingLog {
  readonly #lines: string[]

  constructor(lines: string[]) {
    super("trace")
    this.#lines = lines
  }

  override debug(message: string): void {
    this.#lines.push(message)
  }

  override trace(message: string): void {
    this.#lines.push(message)
  }
}

function isComplete(guest: GuestConnection, worlds: Attempt["worlds"]): boolean {
  const world = worlds.at(-1)?.connection
  return guest.isEnded && world?.isEnded === true && !world.isReset
}

function compareStreams(name: string, found: Uint8Array, sent: Uint8Array, isEnded: boolean): string[] {
  const problems: string[] = []
  const wrong = found.findIndex((byte, index) => byte !== sent[index])
  if (wrong >= 0) {
    const expected = toHex(sent.subarray(wrong, wrong + 8))
    problems.push(`${name}: byte ${wrong} is wrong: ${toHex(found.subarray(wrong, wrong + 8))} instead of ${expected}`)
  }
  if (isEnded && found.length !== sent.length) {
    problems.push(`${name}: it ended after ${found.length} bytes, and ${sent.length} were sent`)
  }
  return problems
}
