import { FlowEnd, type Observer } from "@demiflow/core"
import { check } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { type Bench, bench, scripted } from "./test-support/bench.ts"

/** What an observer hears of connections. */
function heard(memory: Bench): string[] {
  const lines: string[] = []
  const observer: Observer = {
    opened: ({ target }) => lines.push(`opened to port ${target.correspondentPort}`),
    changed: (_flow, state) => lines.push(state),
    closed: (_flow, end) => lines.push(`closed: ${Object.keys(FlowEnd)[end]}`),
  }
  memory.stack.observe(observer)
  return lines
}

describe("an observer", () => {
  test("hears of a connection's states, and of its orderly end", () => {
    const memory = bench()
    const lines = heard(memory)
    const guest = scripted(memory)
    guest.send("S", "")
    guest.expect(check.tcp({ flags: "SA" }))
    guest.send("A")
    memory.run(2)
    guest.send("FA")
    memory.run(2)
    memory.listener.connection.end()
    memory.run(2)
    guest.expectSome(check.tcp({ flags: (flags) => flags.includes("F") }))
    guest.send("A")
    memory.run(10_000)
    expect(memory.leftovers()).toEqual([])
    expect(lines[0]).toBe("opened to port 80")
    expect(lines).toContain("established")
    expect(lines.at(-1)).toBe("closed: done")
  })

  test("hears that a connection was refused, reset, or had no answer", () => {
    const memory = bench()
    const lines = heard(memory)
    scripted(memory, { port: 81 }).send("S", "")
    memory.run(2)
    memory.guest.takeAll()
    expect(lines.splice(0)).toEqual(["opened to port 81", "closed: aborted"])
    const guest = scripted(memory)
    guest.send("S", "")
    guest.expect(check.tcp({ flags: "SA" }))
    guest.send("A")
    memory.run(2)
    guest.send("R")
    memory.run(2)
    expect(lines.splice(0).at(-1)).toBe("closed: aborted")
    const silent = scripted(memory)
    silent.send("S", "")
    memory.run(3 * 3_600_000)
    expect(lines.at(-1)).toBe("closed: timedOut")
  })
})
