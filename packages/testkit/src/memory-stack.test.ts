import { Address, Errno, type Listener, NOT_MINE, type ProtocolPlugin, Ruling } from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { memoryStack } from "./memory-stack.ts"
import * as build from "./packets/build.ts"
import * as check from "./packets/check.ts"
import { payload } from "./packets/layer.ts"
import { mirror } from "./test-support/mirror.ts"

const packet = [build.ip("192.0.2.2", "198.51.100.7", 64, 253), payload("hello")] as const

describe("memoryStack", () => {
  it("carries frames through the plugins and back", () => {
    const { guest, stack, leftovers } = memoryStack([mirror])
    expect(stack.handlers.map(({ name }) => name)).toEqual(["mirror"])
    guest.send(...packet)
    guest.expect(check.payload("hello"))
    expect(leftovers()).toEqual([])
  })

  it("counts what nobody wants", () => {
    const { guest, drops } = memoryStack([])
    guest.send(...packet)
    guest.expectNothing()
    expect(drops.get("stack: no handler")).toBe(1)
  })

  it("takes what the link can do, and faults of the link until they end", () => {
    const { guest, run, endFaults, tap } = memoryStack([mirror], {
      link: { mtu: 9_000, checksumOffload: true },
      fromGuest: { loss: 1 },
      toGuest: { delay: 30 },
    })
    expect([tap.mtu, tap.capabilities.checksumOffload]).toEqual([9_000, true])
    guest.send(...packet)
    run(100)
    guest.expectNothing()
    endFaults()
    guest.send(...packet)
    guest.expect(check.payload("hello"))
  })

  it("delays frames as long as it is asked to", () => {
    const { guest, clock, run } = memoryStack([mirror], { fromGuest: { delay: 20 }, toGuest: { delay: 30 } })
    const began = clock.now
    let arrivedAt = 0
    guest.onFrame(() => {
      arrivedAt = clock.now
      return true
    })
    guest.send(...packet)
    run(100)
    expect(arrivedAt - began).toBe(50)
  })

  it("wakes plugins when they asked for it", () => {
    const ticks: number[] = []
    const { run, clock, leftovers } = memoryStack([
      ({ wakeAt, clock: now }) => ({
        name: "ticker",
        claims: [{ ipProtocol: 254 }],
        fromGuest: () => {
          throw new Error("nothing is sent")
        },
        start: () => wakeAt(now.now + 25),
        tick: (at) => {
          ticks.push(at)
          if (ticks.length < 3) wakeAt(at + 10)
        },
      }),
    ])
    const began = clock.now
    expect(leftovers()).toEqual(["something is due in 25 ms"])
    run(1_000)
    expect(ticks.map((at) => at - began)).toEqual([25, 35, 45])
    expect(leftovers()).toEqual([])
  })

  it("gives the stack the guest's addresses", () => {
    const { tap } = memoryStack([], { guest: { addresses: ["10.0.0.9", "fe80::9", "fd00::9"] } })
    expect(tap.lastSeenV4).toEqual(Address.parse("10.0.0.9"))
    expect(tap.lastSeenV6).toEqual(Address.parse("fd00::9"))
    expect(tap.lastSeenLinkLocal).toEqual(Address.parse("fe80::9"))
  })

  it("says what is left behind", () => {
    const { leftovers, guest, run } = memoryStack([
      ({ sockets, verdicts, flows, handlerNumber }) => ({
        name: "leaky",
        claims: [{ ipProtocol: 253 }],
        fromGuest(sequence) {
          const ruling = new Ruling()
          const { target } = ruling
          verdicts.fromGuest(253, sequence.demiflow, ruling, sequence, 0)
          const flow = flows.initiate(flows.allocate(handlerNumber, 253), sequence.demiflow)
          flows.activate(flows.target(flow, target))
          sockets.close(sockets.udpOpen(0 as never, target))
          sockets.udpOpen(0 as never, target)
          sockets.close(77 as never)
          return -1 as never
        },
      }),
    ])
    guest.send(...packet)
    run()
    expect(leftovers()).toEqual(["close(77): the socket is not open", "1 flows are left", "1 sockets are open"])
  })

  it("hands events of listeners to their handler, and leaves listeners out of what is left behind", () => {
    const events: [Listener, number][] = []
    const listening: ProtocolPlugin = ({ sockets }) => ({
      name: "listening",
      claims: [{ ipProtocol: 6 }],
      fromGuest: () => NOT_MINE,
      listen(listener) {
        listener.socket = sockets.tcpListen(listener.ref, listener.end)
        return Math.min(0, listener.socket)
      },
      fromListener: (listener, bits) => events.push([listener, bits]),
    })
    const { stack, sockets, run, leftovers } = memoryStack([listening])
    const end = { address: undefined, port: 80, interfaceName: undefined, freebind: false }
    const ref = stack.listen(6, end, undefined, 8_080)
    sockets.world.connect({ address: "198.51.100.7", port: 5_000 }, { address: "192.0.2.1", port: 80 })
    run()
    expect(events.map(([listener, bits]) => [listener.ref, listener.targetPort, bits])).toEqual([[ref, 8_080, 1]])
    expect(leftovers()).toEqual([])
    expect(stack.listen(6, end, undefined, 8_080)).toBe(-Errno.EADDRINUSE)
  })

  it("reports to plugins that the guest takes frames slowly, and when it takes more", () => {
    let resumed = 0
    const mirrorThatWaits: ProtocolPlugin = (components) => ({ ...mirror(components), resume: () => resumed++ })
    const { guest, run, tap, slowLink } = memoryStack([mirrorThatWaits], { slowGuest: { bytes: 20, interval: 5 } })
    guest.send(...packet)
    guest.send(...packet)
    guest.expect(check.payload("hello"))
    guest.expectNothing()
    expect([tap.isCongested, resumed]).toEqual([true, 0])
    run(5)
    guest.expect(check.payload("hello"))
    expect([tap.isCongested, resumed, slowLink?.refused]).toEqual([false, 1, 0])
  })
})
