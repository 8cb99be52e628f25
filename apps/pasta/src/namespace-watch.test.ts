import {
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Arena } from "@demiflow/core"
import { attachArena, createHelperSocket, EventLoop, HelpedNamespace, helperSteps, runSteps } from "@demiflow/sys"
import { afterAll, beforeEach, describe, expect, it } from "vitest"
import { PathWatch } from "./namespace-watch.ts"

const arena = new Arena(1 << 20)
const native = attachArena(arena)
const { ours, theirs } = createHelperSocket(native, arena)
const { process: helper } = runSteps(native, arena, helperSteps(theirs), -1)
closeSync(theirs)
const onlooker = new HelpedNamespace(native, arena, ours, helper)
afterAll(() => {
  // The watches still exist, and report that the folder is removed.
  onlooker.onLost = () => {}
  onlooker.close()
})
const folder = mkdtempSync(join(tmpdir(), "namespace-watch-"))
afterAll(() => rmSync(folder, { recursive: true }))

let inner: string
let path: string
let number = 0
beforeEach(() => {
  inner = join(folder, `folder-${++number}`)
  path = join(inner, "box")
  mkdirSync(inner)
  writeFileSync(path, "")
})

/**
 * Watches the path until the callback reports that it is gone. `change` runs once the loop runs, `before` runs before
 * the watch begins. Returns the warnings.
 */
async function untilGone(watched: string, change: () => void, before: () => void = () => {}): Promise<string[]> {
  const loop = new EventLoop(native, arena)
  const warnings: string[] = []
  const descriptor = openSync(watched, "r")
  const watch = new PathWatch(watched, descriptor, onlooker, () => loop.stop())
  before()
  let isOver = false
  const changing = setImmediate(() => {
    if (!isOver) change()
  })
  const end = loop.run()
  watch.begin({ loop }, { warning: (message) => warnings.push(message) })
  await end
  isOver = true
  clearImmediate(changing)
  loop.close()
  closeSync(descriptor)
  return warnings
}

describe("a path", () => {
  it.each([
    ["is removed", () => unlinkSync(path)],
    ["is renamed", () => renameSync(path, join(folder, "elsewhere"))],
    ["is replaced", () => renameSync(otherFile(), path)],
    ["is removed with its folder", () => rmSync(inner, { recursive: true })],
  ])("%s: gone", async (_what, change) => {
    expect(await untilGone(path, change)).toEqual([])
  })

  it("that is a link is gone with the link, whatever becomes of the file", async () => {
    const link = join(inner, "link")
    symlinkSync(path, link)
    expect(await untilGone(link, () => unlinkSync(link))).toEqual([])
  })

  it("that is gone before is noticed at once", async () => {
    const nothing = () => {}
    expect(await untilGone(path, nothing, () => unlinkSync(path))).toEqual([])
  })

  it("whose folder is gone before is noticed at once too, and can't be watched", async () => {
    const nothing = () => {}
    const warnings = await untilGone(path, nothing, () => rmSync(inner, { recursive: true }))
    expect(warnings).toEqual([expect.stringMatching(/^Can't watch .*folder-\d+/)])
  })

  it("stays while others come and go, and while it is written to", async () => {
    let isGone = false
    await untilGone(path, () => {
      unlinkSync(otherFile())
      linkSync(path, join(inner, "second"))
      writeFileSync(path, "written")
      setTimeout(() => {
        isGone = true
        unlinkSync(path)
      }, 50)
    })
    expect(isGone).toBe(true)
  })
})

function otherFile(): string {
  const other = join(inner, "other")
  writeFileSync(other, "")
  return other
}
