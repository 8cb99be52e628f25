import { encodeSteps, type Step } from "@demiflow/sys"
import { describe, expect, it } from "vitest"
import { DataPathDescriptor } from "./descriptors.ts"
import { type NamespacePlan, namespaceSteps } from "./namespace-steps.ts"

import { outside } from "./steps.fixture.ts"

const plan: NamespacePlan = {
  network: "/run/netns/box",
  userNamespace: 30,
  process: 31,
  isBackground: true,
  dataPath: { path: "/usr/bin/node", arguments: ["pasta", "data-path.js"], variables: [] },
  handOver: { takeAway: [], keep: [] },
  ...outside,
}

const kinds = (steps: readonly Step[]) => steps.map((step) => step.kind)
const ofKind = <Kind extends Step["kind"]>(steps: readonly Step[], kind: Kind) =>
  steps.filter((step): step is Extract<Step, { kind: Kind }> => step.kind === kind)

describe("the steps of the data path of a namespace that exists", () => {
  it("stay outside: a helper is started that enters, before anything is given up", () => {
    const steps = namespaceSteps(plan)
    expect(kinds(steps)).not.toContain("enterNamespace")
    const helper = steps.findIndex((step) => step.kind === "spawn")
    expect(helper).toBeLessThan(kinds(steps).indexOf("try"))
    expect(kinds(ofKind(steps, "spawn")[0].steps).slice(-2)).toEqual(["keepCapabilities", "execute"])
    expect(ofKind(steps, "duplicate")).toContainEqual({ kind: "duplicate", descriptor: 30, number: 9 })
  })

  it("open the network namespace, if it can be opened from outside", () => {
    expect(namespaceSteps(plan)).toContainEqual({
      kind: "open",
      path: "/run/netns/box",
      flags: 0,
      number: 5,
      mayFail: true,
    })
  })

  it("leave root's helper what it needs", () => {
    const everybody = "0 0 4294967295"
    const facts = { ...outside.facts, user: 0, userMap: everybody, groupMap: everybody }
    const [helper] = ofKind(namespaceSteps({ ...plan, facts }), "spawn")
    expect(helper.steps[0]).toMatchObject({ kind: "limitCapabilities", kept: [1, 2, 8, 10, 12, 19, 21] })
  })

  it("leave nothing of the caller's open in the background, and nothing that ends with them", () => {
    const steps = namespaceSteps(plan)
    const standard = ofKind(steps, "open").filter(({ path }) => path === "/dev/null")
    expect(standard.map(({ path, number }) => [path, number])).toEqual([0, 1, 2].map((number) => ["/dev/null", number]))
    expect(ofKind(steps, "closeOnExecFrom")).toEqual([{ kind: "closeOnExecFrom", first: DataPathDescriptor.network }])
    expect(kinds(steps).slice(-2)).toEqual(["newSession", "execute"])
  })

  it("leave no number open that nothing was given", () => {
    const steps = namespaceSteps({ ...plan, process: undefined })
    expect(ofKind(steps, "duplicate").map(({ number }) => number)).not.toContain(DataPathDescriptor.process)
  })

  it("keep standard error in the foreground, and end with the one that waits", () => {
    const steps = namespaceSteps({ ...plan, isBackground: false })
    expect(ofKind(steps, "duplicate")).toContainEqual({ kind: "duplicate", descriptor: 2, number: 2, mayFail: true })
    expect(kinds(steps).slice(-2)).toEqual(["dieWithParent", "execute"])
  })

  it("can be written down", () => {
    expect(encodeSteps(namespaceSteps(plan)).words.length).toBeGreaterThan(0)
  })
})
