import { encodeSteps, type Step } from "@demiflow/sys"
import { describe, expect, it } from "vitest"
import { DataPathDescriptor, type LaunchPlan, launchSteps } from "./launch-steps.ts"

const plan: LaunchPlan = {
  command: { name: "ls", paths: ["/bin/ls"], arguments: ["ls", "-l"] },
  mapped: { user: 1000, group: 100 },
  changesIdentity: false,
  openFiles: 1024,
  dataPath: { path: "/usr/bin/node", arguments: ["pasta", "data-path.js"], variables: ["A=1"] },
  pipes: {
    settings: { readEnd: 20, writeEnd: 21 },
    mapped: { readEnd: 22, writeEnd: 23 },
    go: { readEnd: 24, writeEnd: 25 },
    report: { readEnd: 26, writeEnd: 27 },
  },
}

const kinds = (steps: readonly Step[]) => steps.map((step) => step.kind)
const indexOf = (steps: readonly Step[], matching: Partial<Record<string, unknown>>) => {
  const index = steps.findIndex((step) =>
    Object.entries(matching).every(([key, value]) => (step as unknown as Record<string, unknown>)[key] === value),
  )
  expect(index, JSON.stringify(matching)).toBeGreaterThanOrEqual(0)
  return index
}
const initOf = (steps: readonly Step[]) => {
  const spawn = steps[indexOf(steps, { kind: "spawn" })]
  return spawn?.kind === "spawn" ? spawn.steps : []
}

describe("the steps of the data path", () => {
  const steps = launchSteps(plan)

  it("give the user namespace its one user before anybody goes on", () => {
    const spawn = indexOf(steps, { kind: "spawn" })
    const deny = indexOf(steps, { file: "setgroups", contents: "deny" })
    const user = indexOf(steps, { file: "uid_map", contents: "0 1000 1" })
    const group = indexOf(steps, { file: "gid_map", contents: "0 100 1" })
    const told = indexOf(steps, { kind: "putByte", descriptor: 23 })
    expect([spawn, deny, user, group, told]).toEqual([...[spawn, deny, user, group, told]].sort((a, b) => a - b))
  })

  it("join the user namespace, for that is where the privileges are", () => {
    const told = indexOf(steps, { kind: "putByte" })
    const joined = indexOf(steps, { kind: "enterNamespace", type: 0x10000000 })
    expect(joined).toBeGreaterThan(told)
    expect(kinds(steps)).not.toContain("clearGroups")
  })

  it("leave nothing open but the agreed descriptors, and standard output to the command", () => {
    const numbers = steps.flatMap((step) => ("number" in step ? [step.number] : []))
    const kept = [0, 1, 2, ...Object.values(DataPathDescriptor)]
    const close = indexOf(steps, { kind: "closeOnExecFrom", first: Math.max(...kept) + 1 })
    expect(new Set([...kept, Math.max(...kept) + 1])).toEqual(new Set(numbers))
    expect(steps.slice(close).some((step) => "number" in step)).toBe(false)
    indexOf(steps, { kind: "duplicate", descriptor: 2, number: 1 })
  })

  it("end with its parent, from the moment before the runtime starts", () => {
    expect(kinds(steps).slice(-2)).toEqual(["dieWithParent", "execute"])
  })

  it("can be written down", () => {
    expect(encodeSteps(steps).words.length).toBeGreaterThan(0)
  })
})

describe("the steps of the data path for root", () => {
  const steps = launchSteps({ ...plan, mapped: { user: 65534, group: 65534 }, changesIdentity: true })

  it("drop root's groups before the command's processes inherit them", () => {
    expect(indexOf(steps, { kind: "clearGroups" })).toBeLessThan(indexOf(steps, { kind: "spawn" }))
    indexOf(steps, { file: "uid_map", contents: "0 65534 1" })
  })

  it("stay outside of the user namespace, where files can be read that only root may read", () => {
    expect(kinds(steps)).not.toContain("enterNamespace")
  })
})

describe("the steps of the command's init", () => {
  const steps = initOf(launchSteps(plan))

  it("wait until the user namespace has its user before becoming it", () => {
    const mapped = indexOf(steps, { kind: "waitByte", descriptor: 22 })
    expect(indexOf(steps, { kind: "setUser", user: 0 })).toBeGreaterThan(mapped)
    expect(indexOf(steps, { kind: "setGroup", group: 0 })).toBeGreaterThan(mapped)
  })

  it("ask to end with the parent only after the change of user, which undoes it", () => {
    expect(indexOf(steps, { kind: "dieWithParent" })).toBeGreaterThan(indexOf(steps, { kind: "setUser" }))
  })

  it("hold no end of a pipe open that tells others by being closed", () => {
    const closed = steps.flatMap((step) => (step.kind === "close" ? [step.descriptor] : []))
    expect(closed.sort((a, b) => a - b)).toEqual([21, 23, 25])
  })

  it("go on without a fresh /proc and without ping", () => {
    for (const kind of ["mount", "writeFile"]) expect(steps[indexOf(steps, { kind })]).toMatchObject({ mayFail: true })
  })

  it("run the command last, when told to, with the caller's limit", () => {
    const go = indexOf(steps, { kind: "waitByte", descriptor: 24 })
    expect(indexOf(steps, { kind: "setLimit", resource: 7, soft: 1024 })).toBeGreaterThan(go)
    expect(steps.at(-1)).toEqual({
      kind: "init",
      steps: [{ kind: "execute", paths: ["/bin/ls"], arguments: ["ls", "-l"] }],
    })
  })

  it("leave the limit alone if it isn't known", () => {
    expect(kinds(initOf(launchSteps({ ...plan, openFiles: undefined })))).not.toContain("setLimit")
  })
})
