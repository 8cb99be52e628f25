import { Address } from "@demiflow/core"
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

  it("delays frames as long as it is told", () => {
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
        fromTap: () => {
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

  it("tells the stack the guest's addresses", () => {
    const { tap } = memoryStack([], { guest: { addresses: ["10.0.0.9", "fe80::9", "fd00::9"] } })
    expect(tap.lastSeenV4).toEqual(Address.parse("10.0.0.9"))
    expect(tap.lastSeenV6).toEqual(Address.parse("fd00::9"))
    expect(tap.lastSeenLinkLocal).toEqual(Address.parse("fe80::9"))
  })

  it("says what is left behind", () => {
    const { leftovers, guest, run } = memoryStack([
      ({ host: sockets, forwarding, flows, handlerNumber }) => ({
        name: "leaky",
        claims: [{ ipProtocol: 253 }],
        fromTap(sequence) {
          const target = sequence.demiflow.clone()
          forwarding.target(253, sequence.demiflow, target)
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
})
