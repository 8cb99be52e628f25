import { encodeSteps, NamespaceFlag, SpawnFlag, type Step } from "@demiflow/sys"
import { describe, expect, it } from "vitest"
import { type CommandPlan, commandSteps } from "./command-steps.ts"
import { DataPathDescriptor } from "./descriptors.ts"
import { outside } from "./steps.fixture.ts"

const plan: CommandPlan = {
  command: { name: "ls", paths: ["/bin/ls"], arguments: ["ls", "-l"] },
  userNamespace: { kind: "new", mapped: { user: 1000, group: 100 } },
  hasPidNamespace: true,
  openFiles: 1024,
  dataPath: { path: "/usr/bin/node", arguments: ["pasta", "data-path.js"], variables: ["A=1"] },
  handOver: { takeAway: [], keep: [] },
  ...outside,
}

const everybody = "0 0 4294967295"
const root = { ...outside.facts, user: 0, group: 0, userMap: everybody, groupMap: everybody, capabilities: [10, 21] }
const USER = NamespaceFlag.user
const PID = NamespaceFlag.pid
const ALL_BUT_USER = NamespaceFlag.mount | NamespaceFlag.network | NamespaceFlag.uts | NamespaceFlag.ipc | PID
const ALL = ALL_BUT_USER | USER

const kinds = (steps: readonly Step[]) => steps.map((step) => step.kind)
const indexOf = (steps: readonly Step[], matching: Partial<Record<string, unknown>>) => {
  const index = steps.findIndex((step) =>
    Object.entries(matching).every(([key, value]) => (step as unknown as Record<string, unknown>)[key] === value),
  )
  expect(index, JSON.stringify(matching)).toBeGreaterThanOrEqual(0)
  return index
}
/** The step that starts init: the first spawn, or the one nested in it. */
const spawnOf = (steps: readonly Step[]): Extract<Step, { kind: "spawn" }> => {
  const spawn = steps[indexOf(steps, { kind: "spawn" })]
  if (spawn?.kind !== "spawn") throw new Error("none")
  // The command starts in the namespaces of its init.
  return spawn.steps.some((step) => step.kind === "spawn" && step.flags !== 0) ? spawnOf(spawn.steps) : spawn
}
const initOf = (steps: readonly Step[]) => spawnOf(steps).steps

describe("the steps of the data path", () => {
  const steps = commandSteps(plan)

  it("give the user namespace its one user before anybody goes on", () => {
    const spawn = indexOf(steps, { kind: "spawn" })
    const deny = indexOf(steps, { file: "setgroups", contents: "deny" })
    const user = indexOf(steps, { file: "uid_map", contents: "0 1000 1" })
    const group = indexOf(steps, { file: "gid_map", contents: "0 100 1" })
    const reported = indexOf(steps, { kind: "putByte", descriptor: 23 })
    expect([spawn, deny, user, group, reported]).toEqual(
      [...[spawn, deny, user, group, reported]].sort((a, b) => a - b),
    )
  })

  it("stay outside of it, in a user namespace of which it is a child", () => {
    expect(kinds(steps)).not.toContain("enterNamespace")
    const own = indexOf(steps, { kind: "unshare", flags: USER })
    const mapped = indexOf(steps, { kind: "writeFile", path: "/proc/self/uid_map", contents: "1000 1000 1" })
    expect([own, mapped]).toEqual([own, own + 2])
    expect(indexOf(steps, { kind: "spawn" })).toBeGreaterThan(mapped)
    expect(kinds(steps)).not.toContain("clearGroups")
  })

  it("start the helper where the privileges over it are, and give them up then", () => {
    const [init, helper] = steps.flatMap((step, index) => (step.kind === "spawn" ? [index] : []))
    expect(helper).toBeGreaterThan(init)
    expect(indexOf(steps, { kind: "limitCapabilities" })).toBeGreaterThan(helper)
  })

  it("leave the process that empties the file system nothing that others wait for the end of", () => {
    const emptying = kinds(steps).indexOf("try")
    const spawned = steps[emptying]?.kind === "try" ? spawnOf(steps[emptying].steps).steps : []
    const closed = spawned.flatMap((step) => (step.kind === "close" ? [step.descriptor] : []))
    for (const { readEnd, writeEnd } of [plan.pipes.settings, plan.pipes.mapped, plan.pipes.go, plan.pipes.report]) {
      expect(closed).toEqual(expect.arrayContaining([readEnd, writeEnd]))
    }
    expect(closed).toEqual(
      expect.arrayContaining([29, 40, 41, 43, DataPathDescriptor.helperLife, DataPathDescriptor.initLife]),
    )
  })

  it("leave nothing open but the agreed descriptors, and standard output to the command", () => {
    const numbers = steps.flatMap((step) => ("number" in step ? [step.number] : []))
    const { userNamespace: _, emptying: __, ...kept } = DataPathDescriptor
    expect(new Set(numbers)).toEqual(new Set([0, 1, 2, ...Object.values(kept)]))
    const close = indexOf(steps, { kind: "closeOnExecFrom", first: DataPathDescriptor.network })
    expect(steps.findIndex((step) => "number" in step)).toBeGreaterThan(close)
    indexOf(steps, { kind: "duplicate", descriptor: 2, number: 1 })
  })

  it("end with its parent, from the moment before the runtime starts", () => {
    expect(kinds(steps).slice(-2)).toEqual(["dieWithParent", "execute"])
  })

  it("can be written down", () => {
    expect(encodeSteps(steps).words.length).toBeGreaterThan(0)
  })
})

describe("the steps of the data path for who has privileges of their own, but none to enter the namespace from above", () => {
  const steps = commandSteps({ ...plan, facts: { ...outside.facts, capabilities: [10] } })

  it("have the helper join the user namespace of init, which is still the last child then", () => {
    const number = DataPathDescriptor.userNamespace
    const joined = indexOf(steps, { kind: "openChildFile", file: "ns/user", number })
    expect(kinds(steps.slice(0, joined)).filter((kind) => kind === "spawn")).toHaveLength(1)
    expect(kinds(steps).indexOf("spawn")).toBeLessThan(joined)
  })
})

describe("the steps of the data path for root", () => {
  const steps = commandSteps({
    ...plan,
    userNamespace: { kind: "new", mapped: { user: 65534, group: 65534 } },
    facts: root,
    changesIdentity: true,
  })

  it("drop root's groups before the command's processes inherit them", () => {
    expect(indexOf(steps, { kind: "clearGroups" })).toBeLessThan(indexOf(steps, { kind: "spawn" }))
    indexOf(steps, { file: "uid_map", contents: "0 65534 1" })
  })

  it("stay outside of all user namespaces, where files can be read that only root may read", () => {
    expect(kinds(steps)).not.toContain("enterNamespace")
    expect(steps.some((step) => step.kind === "unshare" && (step.flags & USER) !== 0)).toBe(false)
  })
})

describe("the steps of the command's init", () => {
  const steps = initOf(commandSteps(plan))

  it("wait until the user namespace has its user before becoming it", () => {
    const mapped = indexOf(steps, { kind: "waitByte", descriptor: 22 })
    expect(indexOf(steps, { kind: "setUser", user: 0 })).toBeGreaterThan(mapped)
    expect(indexOf(steps, { kind: "setGroup", group: 0 })).toBeGreaterThan(mapped)
  })

  it("ask to end with the parent only after the change of user, which undoes it", () => {
    expect(indexOf(steps, { kind: "dieWithParent" })).toBeGreaterThan(indexOf(steps, { kind: "setUser" }))
  })

  it("hold no end of a pipe open whose closing is a signal to others", () => {
    const closed = steps.flatMap((step) => (step.kind === "close" ? [step.descriptor] : []))
    expect(closed.sort((a, b) => a - b)).toEqual([20, 21, 23, 25, 26, 28, 29, 40, 41, 42, 43])
  })

  it("end while they wait for the launcher if the data path has ended, whose end a PID namespace hides", () => {
    expect(steps).toContainEqual({ kind: "waitByte", descriptor: 24, life: 22 })
  })

  it("go on without a fresh /proc and without ping", () => {
    for (const kind of ["mount", "writeFile"]) expect(steps[indexOf(steps, { kind })]).toMatchObject({ mayFail: true })
  })

  it("run the command last, when the launcher says so, with the caller's limit", () => {
    const go = indexOf(steps, { kind: "waitByte", descriptor: 24 })
    expect(indexOf(steps, { kind: "setLimit", resource: 7, soft: 1024 })).toBeGreaterThan(go)
    const command = indexOf(steps, { kind: "spawn", flags: 0 })
    expect(command).toBeGreaterThan(go)
    expect(steps[command]).toMatchObject({ steps: [{ kind: "execute", paths: ["/bin/ls"], arguments: ["ls", "-l"] }] })
  })

  it("give everything up behind the start of the command, which keeps it", () => {
    const command = indexOf(steps, { kind: "spawn" })
    expect(kinds(steps.slice(0, command))).not.toContain("limitCapabilities")
    expect(kinds(steps.slice(command + 1))).toEqual([
      ...["duplicate", "endWithPipe", "closeFrom", "wipeVariables", "limitCapabilities", "control", "control"],
      ...(outside.native.architecture() === 0 ? [] : ["filterCalls"]),
      "init",
    ])
    expect(steps).toContainEqual({ kind: "limitCapabilities", kept: [], mayFail: true })
  })

  it("keep the privilege to signal where the command can become somebody else", () => {
    const current = { kind: "current", group: 1000, becomes: undefined } as const
    const steps = initOf(commandSteps({ ...plan, userNamespace: current }))
    expect(steps).toContainEqual({ kind: "limitCapabilities", kept: [5], mayFail: true })
  })

  it("leave the limit alone if it isn't known", () => {
    expect(kinds(initOf(commandSteps({ ...plan, openFiles: undefined })))).not.toContain("setLimit")
  })
})

describe("the steps of a command in a user namespace that exists", () => {
  const joined = { kind: "joined", descriptor: 30 } as const
  const steps = commandSteps({ ...plan, userNamespace: { ...joined, becomesUser0: false } })

  it("have another process join it, which makes init a child of the data path's", () => {
    const [joining] = steps.filter((step) => step.kind === "spawn")
    expect(joining).toMatchObject({ flags: SpawnFlag.sharedDescriptors })
    expect(kinds(steps)).not.toContain("enterNamespace")
    const inside = joining?.kind === "spawn" ? joining.steps : []
    const join = indexOf(inside, { kind: "enterNamespace", descriptor: 30, type: 0x10000000 })
    const spawn = indexOf(inside, { kind: "spawn" })
    expect(join).toBeLessThan(spawn)
    expect(inside[spawn]).toMatchObject({ flags: ALL_BUT_USER | SpawnFlag.sibling })
    expect(steps[steps.indexOf(joining) + 1]).toEqual({ kind: "awaitChild" })
    expect(kinds([...steps, ...inside])).not.toContain("writeChildFile")
  })

  it("leave who it is as it is, but for root, who becomes its user 0", () => {
    const insideOf = (list: readonly Step[]) => {
      const [joining] = list.filter((step) => step.kind === "spawn")
      return joining?.kind === "spawn" ? joining.steps : []
    }
    expect(kinds([...insideOf(steps), ...initOf(steps)])).not.toContain("setUser")
    const ofRoot = insideOf(commandSteps({ ...plan, userNamespace: { ...joined, becomesUser0: true } }))
    const join = indexOf(ofRoot, { kind: "enterNamespace" })
    expect(indexOf(ofRoot, { kind: "clearGroups" })).toBeLessThan(join)
    expect(indexOf(ofRoot, { kind: "setUser", user: 0 })).toBeGreaterThan(join)
    expect(indexOf(ofRoot, { kind: "spawn" })).toBeGreaterThan(indexOf(ofRoot, { kind: "setUser" }))
  })
})

describe("the steps of a command without a user namespace of its own", () => {
  const current = { kind: "current", group: 65534, becomes: { user: 65534, group: 65534 } } as const
  const steps = commandSteps({ ...plan, userNamespace: current })

  it("neither make nor join one", () => {
    expect(spawnOf(steps)).toMatchObject({ flags: ALL_BUT_USER })
    expect(kinds(steps)).not.toContain("enterNamespace")
    expect(kinds(steps)).not.toContain("writeChildFile")
  })

  it("keep mounts from being seen outside, or don't go on", () => {
    const init = initOf(steps)
    const isPrivate = indexOf(init, { kind: "mount", target: "/" })
    expect(init[isPrivate]).not.toHaveProperty("mayFail")
    expect(isPrivate).toBeLessThan(indexOf(init, { kind: "mount", target: "/proc" }))
  })

  it("have the command run as another user once root isn't needed any more", () => {
    const init = initOf(steps)
    const user = indexOf(init, { kind: "setUser", user: 65534 })
    expect(indexOf(init, { kind: "writeFile", contents: "65534 65534" })).toBeLessThan(user)
    expect(indexOf(init, { kind: "clearGroups" })).toBeLessThan(user)
    expect(indexOf(init, { kind: "dieWithParent" })).toBeGreaterThan(user)
    const unchanged = commandSteps({ ...plan, userNamespace: { ...current, becomes: undefined } })
    expect(kinds(initOf(unchanged))).not.toContain("setUser")
  })
})

describe("the steps of a command without a PID namespace", () => {
  const steps = commandSteps({ ...plan, hasPidNamespace: false })

  it("execute it in the place of init, and leave /proc alone", () => {
    expect(spawnOf(steps)).toMatchObject({ flags: ALL & ~PID })
    const init = initOf(steps)
    expect(init.at(-1)).toEqual({ kind: "execute", paths: ["/bin/ls"], arguments: ["ls", "-l"] })
    expect(kinds(init)).not.toContain("mount")
    expect(kinds(init)).not.toContain("init")
  })

  it("leave nothing open to it but the standard descriptors", () => {
    const init = initOf(steps)
    expect(init.at(-2)).toEqual({ kind: "closeOnExecFrom", first: 3 })
  })
})
