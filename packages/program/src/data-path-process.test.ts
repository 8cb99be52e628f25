import { Arena } from "@demiflow/core"
import { attachArena } from "@demiflow/sys"
import { expect, it } from "vitest"
import { DataPathProcess } from "./data-path-process.ts"

const arena = new Arena(1 << 20)
const native = attachArena(arena)

/** A process that writes these reports at once, and ends. */
function reporting(reports: string): DataPathProcess {
  return new DataPathProcess(native, arena, ({ report }) => [
    { kind: "duplicate", descriptor: report.writeEnd, number: 1 },
    { kind: "execute", paths: ["/bin/sh"], arguments: ["sh", "-c", `printf '${reports}'`] },
  ])
}

it("keeps reports that came together with the one that was waited for", async () => {
  const child = reporting("one\\ntwo\\nthree\\n")
  expect(child.awaitReport((line) => (line === "one" ? line : undefined))).toBe("one")
  expect(await child.awaitLastReport((line) => (line === "three" ? line : undefined))).toBe("three")
  expect(child.wait()).toBe("status 0")
})

it("waits in vain once the reports have ended", async () => {
  const child = reporting("one\\n")
  expect(child.awaitReport(() => undefined)).toBeUndefined()
  expect(await child.awaitLastReport((line) => line)).toBeUndefined()
  child.wait()
})
