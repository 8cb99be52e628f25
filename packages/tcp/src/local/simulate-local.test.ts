/**
 * Connections on the local path, from seeds: buffers of a few bytes, short fills, and a world that acts between calls.
 */
import { Interface, IpProtocol } from "@demiflow/core"
import {
  environmentVariable,
  memoryStack,
  patternBytes,
  type SeededRandom,
  seeds,
  type WorldConnection,
  withSeed,
} from "@demiflow/testkit"
import { expect, it } from "vitest"
import { tcpWithLocalPath } from "../index.ts"

/** For more, set DEMIFLOW_RUNS; for single ones, DEMIFLOW_SEED. */
const RUNS = Number(environmentVariable("DEMIFLOW_RUNS") ?? 150)
const GROUP = 50
const LOOPBACK = "127.0.0.1"
const PORT = 8_080
/** Milliseconds in which everything must have ended. */
const LIMIT = 600_000

type Wait = (delay: number, then: () => void) => void

/** What one end sends. */
interface Speech {
  readonly bytes: Uint8Array
  readonly pieces: number
  /** Maximum milliseconds between pieces. */
  readonly pause: number
  readonly resets: boolean
}

function drawSpeech(random: SeededRandom): Speech {
  return {
    bytes: patternBytes(random.pick([0, 1, 3_000, 40_000]), random.below(1_000)),
    pieces: random.pick([1, 3, 20]),
    pause: random.pick([0, 0, 7]),
    resets: random.chance(0.1),
  }
}

function speak(
  connection: WorldConnection,
  { bytes, pieces, pause, resets }: Speech,
  random: SeededRandom,
  wait: Wait,
) {
  const piece = Math.max(1, Math.ceil(bytes.length / pieces))
  const next = (from: number) => {
    if (from < bytes.length) {
      connection.write(bytes.subarray(from, from + piece))
      wait(random.below(pause + 1), () => next(from + piece))
    } else if (resets) connection.reset()
    else connection.end()
  }
  next(0)
}

function run(random: SeededRandom): void {
  const sizes = () => ({ sendBuffer: random.pick([300, 5_000, 131_072]), receiveBuffer: random.pick([2_000, 131_072]) })
  const faults = {
    partialSend: random.pick([0, 0.2]),
    lateEvent: random.pick([0, 0.2]),
    lateness: 10,
    spuriousEvent: random.pick([0, 0.3]),
    betweenCalls: random.pick([0.05, 0.2, 0.6]),
    mostBetweenCalls: random.pick([1, 3, 10]),
  }
  const rtt = random.pick([0, 1, 10])
  const memory = memoryStack([tcpWithLocalPath({ holdPoolSize: 1 << 16 })], {
    seed: random.int32(),
    sockets: { rtt, faults, ...sizes() },
    localPath: {
      namespace: { rtt, faults, ...sizes() },
      pipes: { partialFill: random.pick([0, 0.5]), capacity: random.pick([4_096, 65_536]) },
    },
    rules: { splicing: { takesFromHost: true, keepsLoopback: false, isOnly: false }, v4: {}, v6: {} },
  })
  const place = random.pick([Interface.host, Interface.splice])
  const [from, to] = place === Interface.host ? [memory.sockets, memory.namespace] : [memory.namespace, memory.sockets]
  const wait: Wait = (delay, then) => memory.clock.schedule(delay, then)
  const end = { address: undefined, port: PORT, interfaceName: undefined, freebind: false }
  expect(memory.stack.listen(IpProtocol.tcp, end, undefined, 80, place)).toBeGreaterThanOrEqual(0)
  const [question, answer] = [drawSpeech(random), drawSpeech(random)]
  const server = to.world.listen(80, (accepted) => speak(accepted, answer, random, wait))
  const client = from.world.connect({ address: LOOPBACK, port: 5_000 }, { address: LOOPBACK, port: PORT })
  client.onConnected = () => speak(client, question, random, wait)
  memory.runUntil(() => client.isOver && server.connections.every(({ isOver }) => isOver), LIMIT)
  memory.runUntil(() => memory.leftovers().length === 0, LIMIT)
  expect(memory.leftovers()).toEqual([])
  const isReset = question.resets || answer.resets
  if (!isReset) {
    expect(client.received).toEqual(answer.bytes)
    expect(server.connection.received).toEqual(question.bytes)
    expect([client.isEnded, server.connection.isEnded, client.isReset]).toEqual([true, true, false])
    return
  }
  for (const [found, sent] of [
    [client.received, answer.bytes],
    [server.connections[0]?.received ?? new Uint8Array(0), question.bytes],
  ]) {
    expect(found).toEqual(sent.subarray(0, found.length))
  }
}

for (let first = 0, all = seeds(RUNS); first < all.length; first += GROUP) {
  const group = all.slice(first, first + GROUP)
  it(`seeds ${group[0]} to ${group.at(-1)}: every byte once and in order`, () => {
    for (const seed of group) withSeed(seed, run)
  }, 600_000)
}
