import type { Arena } from "@demiflow/core"
import { expect, test } from "vitest"
import { MonotonicClock } from "./clock.ts"
import { LinuxSockets } from "./linux-sockets.ts"
import { SystemRandom } from "./random.ts"
import { arena, Events, native } from "./test-support.ts"

const events = new Events()

test.each<[string, (part: Arena) => void]>([
  ["sockets", (part) => new LinuxSockets(native, part, events.loop)],
  ["a clock", (part) => new MonotonicClock(native, part)],
  ["random numbers", (part) => new SystemRandom(native, part)],
])("an arena without room for %s names what asked, however small that is", (_, make) => {
  const askers = new Set<unknown>()
  for (let size = 0, isMade = false; !isMade; size += 64) {
    const part = arena.part(size)
    try {
      make(part)
      isMade = true
    } catch (error) {
      askers.add((error as { asker?: string }).asker)
    }
    arena.giveBack(part)
  }
  expect([...askers]).not.toEqual([])
  expect([...askers]).not.toContain(undefined)
})
