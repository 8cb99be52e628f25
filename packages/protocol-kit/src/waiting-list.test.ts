import type { Guest } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { type Waiting, WaitingList, type WaitingSurroundings } from "./waiting-list.ts"

interface Source extends Waiting {
  readonly name: number
  /** How many more times the source waits. */
  more: number
}

const sourceOf = (name: number, more = 0): Source => ({ name, more, isWaiting: false, needsGuest: true })

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
    list.tick()
    expect(calls).toEqual([0, 1, 2])
    list.tick()
    expect(calls).toEqual([0, 1, 2, 1])
    list.tick()
    expect(calls).toHaveLength(4)
  })

  test("asks for a time again in the next turn", () => {
    const { list, wakes } = new Bench()
    list.wait(sourceOf(0, 1), 5)
    list.tick()
    expect(wakes).toEqual([5, 5])
  })

  test("neither calls anybody nor asks for a time while the guest is congested", () => {
    const { list, wakes, calls, guest } = new Bench()
    guest.isCongested = true
    list.wait(sourceOf(0), 0)
    list.tick()
    expect({ wakes, calls }).toEqual({ wakes: [], calls: [] })
    guest.isCongested = false
    list.tick()
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
      bench.list.tick()
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
      bench.list.tick()
    }
    const once = Array.from({ length: 1000 }, (_, name) => name)
    expect(bench.calls).toEqual([...once, ...once])
  })
})

class NamedSource implements Waiting {
  isWaiting = false
  readonly name: string
  readonly needsGuest: boolean

  constructor(name: string, needsGuest: boolean) {
    this.name = name
    this.needsGuest = needsGuest
  }
}

/** Returns a source of each kind, and the times that were requested for them. */
function waiting() {
  const guest = { isCongested: false }
  const asked: number[] = []
  const carriedOn: string[] = []
  const components = { guest, wakeAt: (deadline: number) => asked.push(deadline) } as unknown as WaitingSurroundings
  return {
    guest,
    asked,
    carriedOn,
    sources: new WaitingList<NamedSource>(components, ({ name }) => carriedOn.push(name)),
    tap: new NamedSource("tap", true),
    local: new NamedSource("local", false),
  }
}

describe("sources of both kinds", () => {
  test("share the earliest time that one of them asks for", () => {
    const { sources, asked, carriedOn, tap, local } = waiting()
    sources.wait(local, 10)
    sources.wait(tap, 20)
    expect(asked).toEqual([10])
    sources.tick()
    expect(carriedOn.sort()).toEqual(["local", "tap"])
    sources.wait(tap, 20)
    sources.wait(local, 15)
    expect(asked).toEqual([10, 20, 15])
  })

  test("are carried on with once for each time that they wait", () => {
    const { sources, carriedOn, tap, local } = waiting()
    for (const source of [tap, local, tap, local]) sources.wait(source, 1)
    sources.tick()
    sources.tick()
    expect(carriedOn.sort()).toEqual(["local", "tap"])
  })

  test("wait for a congested guest only where they need it", () => {
    const { sources, guest, asked, carriedOn, tap, local } = waiting()
    guest.isCongested = true
    sources.wait(tap, 1)
    expect(asked).toEqual([])
    sources.wait(local, 1)
    sources.tick()
    expect([asked, carriedOn]).toEqual([[1], ["local"]])
    guest.isCongested = false
    sources.resume()
    expect(carriedOn).toEqual(["local", "tap"])
  })

  test("that go by the local path have no part in the guest's taking frames again", () => {
    const { sources, carriedOn, tap, local } = waiting()
    sources.wait(local, 1)
    sources.wait(tap, 1)
    sources.resume()
    expect(carriedOn).toEqual(["tap"])
    sources.tick()
    expect(carriedOn).toEqual(["tap", "local"])
  })
})
