import {
  check,
  type ListenOptions,
  type MemoryStack,
  type MemoryStackOptions,
  memoryStack,
  type ReceivedFrame,
  ScriptedConnection,
  type ScriptedConnectionOptions,
  type TcpOptions as SegmentOptions,
  type WorldConnection,
  type WorldListener,
} from "@demiflow/testkit"
import { type TcpOptions, tcp } from "../index.ts"

export const SERVER = "198.51.100.7"
export const SERVER_V6 = "2001:db8:1::7"
export const PORT = 80

/** Options of a bench. */
export interface BenchOptions extends MemoryStackOptions {
  readonly tcp?: TcpOptions
  readonly listen?: ListenOptions
}

/** TCP in memory, with a server that accepts connections to {@link PORT}, and guests that are driven by hand. */
export interface Bench extends MemoryStack {
  readonly listener: WorldListener
}

/** Sets a bench up. */
export function bench(options: BenchOptions = {}): Bench {
  const memory = memoryStack([tcp({ holdPoolSize: 1 << 20, ...options.tcp })], options)
  return Object.assign(memory, { listener: memory.sockets.world.listen(PORT, options.listen ?? {}) })
}

/** Returns the guest's end of a connection that hasn't begun. */
export function scripted(memory: MemoryStack, options: Partial<ScriptedConnectionOptions> = {}): ScriptedConnection {
  return new ScriptedConnection(memory.guest, { target: SERVER, port: PORT, ...options })
}

/** Both ends of a connection. */
export interface Connected {
  readonly memory: Bench
  readonly guest: ScriptedConnection
  readonly world: WorldConnection
}

/** Options of a connection. */
export interface ConnectOptions extends BenchOptions {
  readonly ends?: Partial<ScriptedConnectionOptions>
  /** Options of the guest's SYN; an MSS of 1,460 by default. */
  readonly syn?: SegmentOptions
  /** The guest's window, as in the header, unscaled. */
  readonly window?: number
}

/** Sets a bench up, with an established connection. */
export function connected(options: ConnectOptions = {}): Connected {
  return connect(bench(options), options)
}

/** Begins a connection on a bench. */
export function connect(memory: Bench, options: Omit<ConnectOptions, keyof BenchOptions> = {}): Connected {
  const guest = scripted(memory, options.ends)
  if (options.window !== undefined) guest.window = options.window
  guest.send("S", "", { options: options.syn ?? { mss: 1_460 } })
  // The world may be far away.
  memory.runUntil(() => memory.guest.inbox.length > 0)
  guest.expect(check.tcp({ flags: "SA", acknowledgement: guest.sequence }))
  guest.send("A")
  memory.run()
  return { memory, guest, world: memory.listener.connection }
}

/** Takes the segments that wait at the guest, in the order in which they came. */
export function segments(memory: MemoryStack): ReceivedFrame[] {
  return memory.guest.takeAll().filter(({ tcp }) => tcp !== undefined)
}

/** As `segments`, in short: flags, first sequence number relative to `from`, payload bytes. */
export function numbers(memory: MemoryStack, from: number): string[] {
  return segments(memory).map(({ tcp, payload }) => {
    const sequence = ((tcp?.sequence ?? 0) - from) | 0
    return `${tcp?.flags.replace("P", "")} ${sequence}+${payload.length}`
  })
}

/** Returns the sequence number `count` further on, unsigned. */
export function after(sequence: number | undefined, count: number): number {
  return ((sequence ?? Number.NaN) + count) >>> 0
}
