/**
 * Races between two system calls of one turn, found by simulation.
 *
 * Where the kernel can't peek from an offset, sockets have to find out by a second call whether nothing was there
 * because the correspondent has ended. Asking that alone was a bug: data and the end may have arrived since the peek,
 * and the data was lost. It is made again here, and must be found.
 */
import { Errno, type ProtocolPlugin, reserving, SocketEvent, type Sockets } from "@demiflow/core"
import { type Scenario, type SimulatedSockets, simulate } from "@demiflow/testkit"
import { describe, expect, it } from "vitest"
import { tcp } from "./index.ts"

/** Rare enough that events are left to happen behind a peek that found nothing. */
const BETWEEN_CALLS = 0.05

/** Sockets that believe an end without reading what came before it. */
function hasty(sockets: SimulatedSockets): Sockets {
  const peek: Sockets["peek"] = (socket, vectors, first, count, skip) => {
    const got = sockets.peek(socket, vectors, first, count, skip)
    if (got !== -Errno.EAGAIN) return got
    const events = sockets.findTcp(socket, "peek")?.readiness() ?? 0
    return events & SocketEvent.readEnd ? 0 : got
  }
  return new Proxy(sockets, {
    get(target, name) {
      if (name === "peek") return peek
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === "function" ? value.bind(target) : value
    },
  })
}

const sound = tcp({ holdPoolSize: 1 << 20 })

const hastyTcp = reserving(sound.arenaBytes ?? 0, (components) =>
  sound({ ...components, sockets: hasty(components.sockets as SimulatedSockets) }),
)

/** Connections of which the world sends several pieces and ends, over a link without faults. */
function adjusted(betweenCalls: number): (scenario: Scenario) => Scenario {
  return (scenario) => ({
    ...scenario,
    capacity: 1_024,
    fromGuest: {},
    toGuest: {},
    slowGuest: undefined,
    sockets: { rtt: 20, jitter: 30 },
    hostFaults: { betweenCalls, mostBetweenCalls: 20, spuriousEvent: 0.8 },
    connections: scenario.connections.slice(0, 1).map((plan) => ({
      ...plan,
      startedBy: "guest",
      outcome: "accept",
      vanishesAfter: undefined,
      repeatsAfter: undefined,
      guest: { ...plan.guest, bytes: 0, pieces: 1, resetAfter: undefined, slowReading: undefined },
      world: { ...plan.world, bytes: 29_200, pieces: 20, pause: 5, resetAfter: undefined, slowReading: undefined },
    })),
  })
}

/** The message of the first seed with which the plug-in fails, up to `seeds`; undefined if it never does. */
function firstFailure(plugin: ProtocolPlugin, betweenCalls: number, seeds: number): string | undefined {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      simulate(seed, { plugins: () => [plugin], adjust: adjusted(betweenCalls) })
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }
  return undefined
}

describe("an end that is believed without reading what came before it", () => {
  it("is found where the world may act between two calls", () => {
    const message = firstFailure(hastyTcp, BETWEEN_CALLS, 500)
    expect(message).toMatch(/towards the guest: it ended after \d+ bytes, and 29200 were sent/)
  }, 120_000)

  it("isn't found where the world acts between turns alone", () => {
    expect(firstFailure(hastyTcp, 0, 50)).toBeUndefined()
  }, 120_000)

  it("isn't there without the bug", () => {
    expect(firstFailure(sound, BETWEEN_CALLS, 100)).toBeUndefined()
  }, 120_000)
})
