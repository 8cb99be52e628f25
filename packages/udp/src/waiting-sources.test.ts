import type { Components } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { type WaitingSource, WaitingSources } from "./waiting-sources.ts"

class Source implements WaitingSource {
  isWaiting = false
  readonly name: string
  readonly needsGuest: boolean

  constructor(name: string, needsGuest: boolean) {
    this.name = name
    this.needsGuest = needsGuest
  }
}

/** Two sources, and what is asked for in their name. */
function waiting() {
  const guest = { isCongested: false }
  const asked: number[] = []
  const carriedOn: string[] = []
  const components = { guest, wakeAt: (deadline: number) => asked.push(deadline) } as unknown as Components
  return {
    guest,
    asked,
    carriedOn,
    sources: new WaitingSources<Source>(components, ({ name }) => carriedOn.push(name)),
    tap: new Source("tap", true),
    local: new Source("local", false),
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
