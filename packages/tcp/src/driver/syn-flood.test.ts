/** The cost of a flood of SYNs, and what it leaves to others. */
import { Address, Errno, type Socket } from "@demiflow/core"
import { check } from "@demiflow/testkit"
import { describe, expect, test, vi } from "vitest"
import { type Bench, bench, SERVER, scripted } from "../test-support/bench.ts"
import { crowdOf } from "./crowds.ts"

describe("a flood of SYNs", () => {
  const tooMany = "tcp: too many half-open connections"
  const gaveWay = "tcp: gave way half open"
  const flood = (memory: Bench, from: number, count: number) => {
    for (let port = from; port < from + count; port++) scripted(memory, { sourcePort: port }).send("S")
    memory.run()
  }

  test("has a share of the flows, and is gone when nobody answers", () => {
    const memory = bench({ capacity: 512 })
    memory.sockets.world.route(SERVER, { isSilent: true })
    flood(memory, 1, 200)
    memory.run(20)
    // As many again are left for other destinations.
    expect([memory.flows.size, memory.sockets.openSockets, memory.drops.get(tooMany)]).toEqual([32, 32, 168])
    memory.run(127_000)
    expect(memory.flows.size).toBe(0)
    expect(memory.leftovers()).toEqual([])
  })

  test("gives way after a second, the oldest first, a few in a turn", () => {
    const memory = bench({ capacity: 512 })
    memory.sockets.world.route(SERVER, { isSilent: true })
    flood(memory, 1, 32)
    memory.run(999)
    flood(memory, 1_000, 1)
    expect([memory.drops.get(tooMany), memory.flows.size]).toEqual([1, 32])
    memory.run(1)
    flood(memory, 2_000, 1)
    expect([memory.drops.get(gaveWay), memory.flows.size]).toEqual([1, 32])
    flood(memory, 3_000, 100)
    expect([memory.drops.get(gaveWay), memory.flows.size, memory.drops.get(tooMany)]).toEqual([17, 32, 1 + 84])
  })

  test("has what gave way forgotten: the guest hears nothing, and its next SYN begins anew", () => {
    const memory = bench({ capacity: 512, sockets: { rtt: 1_200 } })
    memory.sockets.world.route(SERVER, { isSilent: true })
    const guest = scripted(memory, { sourcePort: 1, sequence: 77 })
    guest.send("S")
    flood(memory, 2, 31)
    memory.run(1_000)
    flood(memory, 3_000, 1)
    expect(memory.drops.get(gaveWay)).toBe(1)
    memory.sockets.world.route(SERVER, {})
    guest.send("S", "", { sequence: 77 })
    memory.run(1_300)
    guest.expect(check.tcp({ flags: "SA", acknowledgement: 78 }))
    memory.guest.expectNothing()
  })

  test("leaves places for connections to other destinations", () => {
    const memory = bench({ capacity: 512 })
    memory.sockets.world.route(SERVER, { isSilent: true })
    flood(memory, 1, 200)
    const guest = scripted(memory, { target: "198.51.100.8", sourcePort: 2_000 })
    guest.send("S")
    memory.run(20)
    guest.expect(check.tcp({ flags: "SA" }))
  })

  test("to very many destinations keeps none of them from the next connection, once a second has passed", () => {
    const memory = bench({ capacity: 2_048 })
    const crowd = crowdOf(Address.parse(SERVER))
    const silent = (address: string) => {
      memory.sockets.world.route(address, { isSilent: true })
      scripted(memory, { target: address, sourcePort: 1 }).send("S")
      memory.turn()
    }
    const addresses = Array.from({ length: 16_384 }, (_, index) => `198.18.${index >> 8}.${index & 255}`)
    const others = addresses.filter((address) => crowdOf(Address.parse(address)) !== crowd)
    const alike = addresses.filter((address) => crowdOf(Address.parse(address)) === crowd)
    for (const address of others.slice(0, 200)) silent(address)
    for (const address of alike.slice(0, 6)) silent(address)
    for (const address of others.slice(200, 400)) silent(address)
    memory.run(1_000)
    const before = memory.drops.get(tooMany)
    const guest = scripted(memory, { sourcePort: 2_000 })
    guest.send("S")
    memory.run(20)
    guest.expect(check.tcp({ flags: "SA" }))
    expect([before > 0, memory.drops.get(tooMany)]).toEqual([true, before])
  })

  test("takes nothing of the pace for SYNs that are dropped", () => {
    const memory = bench({ capacity: 512 })
    memory.sockets.world.route(SERVER, { isSilent: true })
    flood(memory, 1, 100)
    memory.run(20)
    flood(memory, 1_000, 100)
    const guest = scripted(memory, { target: "198.51.100.8", sourcePort: 2_000 })
    guest.send("S")
    memory.run()
    guest.expect(check.tcp({ flags: "SA" }))
  })

  test("waits for sockets in a queue, and is dropped beyond it before the policy is asked", () => {
    const isOwn = vi.fn(() => false)
    const memory = bench({ capacity: 32_768, closedHost: { isOwn } })
    memory.sockets.world.route(SERVER, { isSilent: true })
    for (let port = 1; port <= 2_000; port++) {
      scripted(memory, { sourcePort: port }).send("S")
      if (port % 4 === 0) memory.turn()
    }
    // 256 are opened four in a turn; then one destination may have half of the queue.
    expect(memory.flows.size - memory.sockets.openSockets).toBe(256)
    expect(isOwn).toHaveBeenCalledTimes(memory.flows.size)
    expect(memory.flows.size + memory.drops.get(tooMany)).toBe(2_000)
    const guest = scripted(memory, { target: "198.51.100.8", sourcePort: 3_000 })
    guest.send("S")
    memory.run(100)
    guest.expect(check.tcp({ flags: "SA" }))
  })

  test("has its sockets opened at a pace where each is refused at once, too, and then none of it is dropped", () => {
    const memory = bench({ capacity: 32_768 })
    let opened = 0
    vi.spyOn(memory.sockets, "tcpConnect").mockImplementation(() => {
      opened++
      return -Errno.ECONNREFUSED as Socket
    })
    for (let port = 1; port <= 2_000; port++) {
      scripted(memory, { sourcePort: port }).send("S")
      if (port % 8 === 0) memory.turn()
    }
    // Four in a turn until 256 wait.
    expect(opened).toBeLessThan(300)
    memory.run(100)
    expect(opened).toBeLessThan(300 + 100 * 5)
    memory.run(1_000)
    expect([opened, memory.flows.size, memory.drops.total]).toEqual([2_000, 0, 0])
  })

  test("has some sockets opened in a turn, while the other connections wait for theirs in their order", () => {
    const memory = bench()
    memory.sockets.world.route(SERVER, { isSilent: true })
    const opened: number[] = []
    const connect = memory.sockets.tcpConnect.bind(memory.sockets)
    vi.spyOn(memory.sockets, "tcpConnect").mockImplementation((side, target, ...marks) => {
      opened.push(target.forwardingPort)
      return connect(side, target, ...marks)
    })
    const guests = [2_001, 2_002, 2_003, 2_004, 2_005, 2_006, 2_007].map((sourcePort) =>
      scripted(memory, { sourcePort }),
    )
    for (const guest of guests) guest.send("S")
    memory.turn()
    expect(opened).toEqual([2_001, 2_002, 2_003, 2_004])
    expect([memory.flows.size, memory.stack.nextDeadline()]).toEqual([7, memory.clock.now])
    guests[5].send("R")
    scripted(memory, { sourcePort: 2_008 }).send("S")
    memory.run()
    expect(opened.slice(4)).toEqual([2_005, 2_007, 2_008])
    expect([memory.flows.size, memory.sockets.openSockets]).toEqual([7, 7])
  })

  test("leaves sockets for a connection that comes later, where there are few", () => {
    const memory = bench({ sockets: { descriptors: 8 } })
    memory.sockets.world.route(SERVER, { isSilent: true })
    flood(memory, 1, 20)
    expect(memory.sockets.openSockets).toBe(8)
    expect(memory.guest.takeAll()).toHaveLength(12)
    memory.run(1_000)
    memory.sockets.world.route(SERVER, {})
    const guest = scripted(memory, { sourcePort: 5_000 })
    guest.send("S")
    guest.expect(check.tcp({ flags: "SA" }))
    expect(memory.drops.get(gaveWay)).toBe(1)
  })
})
