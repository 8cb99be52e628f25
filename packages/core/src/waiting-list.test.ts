import { describe, expect, test, vi } from "vitest"
import type { Guest } from "./guest.ts"
import { type Waiting, WaitingList } from "./waiting-list.ts"

interface Source extends Waiting {
  readonly name: number
  /** How often it waits again. */
  more: number
}

const sourceOf = (name: number, more = 0): Source => ({ name, more, isWaiting: false })

class Bench {
  readonly guest = { isCongested: false }
  readonly wakes: number[] = []
  readonly calls: number[] = []
  onCall: (source: Source) => void = () => {}
  readonly list = new WaitingList<Source>(
    { guest: this.guest as unknown as Guest, wakeAt: (deadline) => this.wakes.push(deadline) },
    (source) => {
      this.calls.push(source.name)
      if (source.more-- > 0) this.list.wait(source, 5)
      this.onCall(source)
    },
  )
}

describe("a waiting list", () => {
  test("asks for the earliest time, once", () => {
    const { list, wakes } = new Bench()
    for (const [name, until] of [10, 10, 20, 3, 4].entries()) list.wait(sourceOf(name), until)
    expect(wakes).toEqual([10, 3])
  })

  test("calls in the order of waiting, each once in a turn, however often it was noted down", () => {
    const { list, calls } = new Bench()
    const sources = [sourceOf(0), sourceOf(1, 1), sourceOf(2)]
    for (const source of [...sources, ...sources]) list.wait(source, 0)
    list.carryOn()
    expect(calls).toEqual([0, 1, 2])
    list.carryOn()
    expect(calls).toEqual([0, 1, 2, 1])
    list.carryOn()
    expect(calls).toHaveLength(4)
  })

  test("asks for a time again in the next turn", () => {
    const { list, wakes } = new Bench()
    list.wait(sourceOf(0, 1), 5)
    list.carryOn()
    expect(wakes).toEqual([5, 5])
  })

  test("neither calls anybody nor asks for a time while the guest is congested", () => {
    const { list, wakes, calls, guest } = new Bench()
    guest.isCongested = true
    list.wait(sourceOf(0), 0)
    list.carryOn()
    expect({ wakes, calls }).toEqual({ wakes: [], calls: [] })
    guest.isCongested = false
    list.carryOn()
    expect(calls).toEqual([0])
  })

  test("goes on where it stopped when the guest became congested: nobody is passed over", () => {
    const bench = new Bench()
    for (let name = 0; name < 3; name++) bench.list.wait(sourceOf(name, 9), 0)
    bench.onCall = () => {
      bench.guest.isCongested = true
    }
    for (let turn = 0; turn < 7; turn++) {
      bench.guest.isCongested = false
      bench.list.carryOn()
    }
    expect(bench.calls).toEqual([0, 1, 2, 0, 1, 2, 0])
  })

  test("keeps the order over many turns and many who wait", () => {
    const bench = new Bench()
    for (let name = 0; name < 1000; name++) bench.list.wait(sourceOf(name, 1), 0)
    let left = 300
    bench.onCall = () => {
      bench.guest.isCongested = --left <= 0
    }
    while (bench.calls.length < 2000) {
      left = 300
      bench.guest.isCongested = false
      bench.list.carryOn()
    }
    const once = Array.from({ length: 1000 }, (_, name) => name)
    expect(bench.calls).toEqual([...once, ...once])
  })

  test("doesn't move up all who wait again and again, while the guest takes little at a time", () => {
    const bench = new Bench()
    const move = vi.spyOn(Array.prototype, "copyWithin")
    for (let name = 0; name < 10_000; name++) bench.list.wait(sourceOf(name), 0)
    bench.onCall = () => {
      bench.guest.isCongested = true
    }
    for (let turn = 0; turn < 10_000; turn++) {
      bench.guest.isCongested = false
      bench.list.carryOn()
    }
    const moves = move.mock.calls.length
    move.mockRestore()
    expect(bench.calls).toEqual(Array.from({ length: 10_000 }, (_, name) => name))
    expect(moves).toBeLessThan(20)
  })
})
