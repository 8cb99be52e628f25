import { Demiflow, type ProtocolPlugin } from "@demiflow/core"
import { describe, expect, it } from "vitest"
import type { ConnectOutcome } from "../host/world-connection.ts"
import { SeededRandom } from "../seeded-random.ts"
import { drawScenario } from "./scenario.ts"
import { SimulationError, simulate } from "./simulate.ts"

// TCP's own package shows that TCP passes. These tests show that faults are noticed.

/** A TCP that refuses everything: well-behaved, but nothing gets through. */
const silent: ProtocolPlugin = () => ({
  name: "silent",
  claims: [{ ipProtocol: 6, hasPorts: true }],
  fromGuest: () => -1 as never,
})

const plain = { fromGuest: {}, toGuest: {}, hostFaults: {} }

describe("simulate", () => {
  it("draws the same scenario from the same seed, and all kinds from many", () => {
    const draw = (seed: number) => drawScenario(new SeededRandom(seed))
    expect(draw(5)).toEqual(draw(5))
    const all = Array.from({ length: 300 }, (_, seed) => draw(seed))
    const connections = all.flatMap((scenario) => scenario.connections)
    expect(new Set(connections.map(({ outcome }) => outcome)).size).toBe(5)
    expect(new Set(connections.map(({ isV4 }) => isV4)).size).toBe(2)
    expect(new Set(connections.map(({ startedBy }) => startedBy)).size).toBe(2)
    expect(all.some(({ slowGuest }) => slowGuest !== undefined)).toBe(true)
    expect(connections.some(({ guest }) => guest.resetAfter !== undefined)).toBe(true)
    expect(connections.some(({ world }) => world.slowReading !== undefined)).toBe(true)
    expect(all.some(({ fromGuest }) => (fromGuest.loss ?? 0) > 0.1)).toBe(true)
    // One party always ends first, or nothing ever would.
    expect(connections.every(({ guest, world }) => !(guest.endsLast && world.endsLast))).toBe(true)
  })

  it("notices connections that come to nothing, and says how to have them again", () => {
    const failing = () =>
      simulate(3, {
        plugins: () => [silent],
        adjust: (scenario) => ({
          ...scenario,
          ...plain,
          connections: scenario.connections.slice(0, 1).map((plan) => ({
            ...plan,
            outcome: "accept" as const,
            guest: { ...plan.guest, resetAfter: undefined },
            world: { ...plan.world, resetAfter: undefined },
          })),
        }),
      })
    expect(failing).toThrow(SimulationError)
    expect(failing).toThrow("it should have ended in order, and did not")
    expect(failing).toThrow("Run it again with DEMIFLOW_SEED=3")
  })

  it("notices flows, sockets and deadlines that are left", () => {
    const leaky: ProtocolPlugin = ({ clock, wakeAt }) => ({
      ...silent(undefined as never),
      start: () => wakeAt(clock.now + 1),
      tick: (now) => wakeAt(now + 3_600_000),
    })
    expect(() =>
      simulate(4, {
        plugins: () => [leaky],
        adjust: (scenario) => ({
          ...scenario,
          connections: scenario.connections.map((plan) => ({ ...plan, outcome: "silent" as const })),
        }),
      }),
    ).toThrow(/something is due in/)
  })

  /** A TCP that listens, and resets each connection. */
  const unkind: ProtocolPlugin = (components) => ({
    ...silent(components),
    listen(listener) {
      listener.socket = components.sockets.tcpListen(listener.ref, listener.end)
      return Math.min(0, listener.socket)
    },
    fromListener({ socket }) {
      const ends = new Demiflow()
      for (let accepted = components.sockets.tcpAccept(socket, ends); accepted >= 0; ) {
        components.sockets.reset(accepted)
        accepted = components.sockets.tcpAccept(socket, ends)
      }
    },
  })

  it("has the world begin connections, and notices those that don't get to the guest", () => {
    const run = (outcome: ConnectOutcome) =>
      simulate(3, {
        plugins: () => [unkind],
        adjust: (scenario) => ({
          ...scenario,
          ...plain,
          sockets: {},
          capacity: 1_024,
          connections: scenario.connections.slice(0, 1).map((plan) => ({
            ...plan,
            startedBy: "world" as const,
            outcome,
            vanishesAfter: undefined,
            guest: { ...plan.guest, resetAfter: undefined },
            world: { ...plan.world, resetAfter: undefined },
          })),
        }),
      })
    expect(() => run("accept")).toThrow("the connection was never begun, or never got to the guest")
    expect(run("refuse")).toMatchObject({ completed: 0, failed: 1, bytesToGuest: 0 })
  })

  it("passes over connections that were meant to fail", () => {
    const report = simulate(5, {
      plugins: () => [silent],
      adjust: (scenario) => ({
        ...scenario,
        connections: scenario.connections.map((plan) => ({ ...plan, outcome: "silent" as const })),
      }),
    })
    expect(report).toMatchObject({ seed: 5, completed: 0, bytesToHost: 0, bytesToGuest: 0 })
    expect(report.failed).toBeGreaterThan(0)
  })

  it("hands on what a plugin throws, with the scenario", () => {
    const throwing: ProtocolPlugin = () => ({
      ...silent(undefined as never),
      fromGuest: () => {
        throw new RangeError("plugin broke")
      },
    })
    const failing = () => simulate(6, { plugins: () => [throwing] })
    expect(failing).toThrow(RangeError)
    expect(failing).toThrow(/plugin broke\n\{"link"/)
  })
})
