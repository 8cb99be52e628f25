import { encodeSteps, type Step } from "@demiflow/sys"
import { describe, expect, it } from "vitest"
import { DataPathDescriptor } from "./descriptors.ts"
import { type NamespacePlan, namespaceSteps } from "./namespace-steps.ts"

const plan: NamespacePlan = {
  network: "/run/netns/box",
  userNamespace: 30,
  process: 31,
  isBackground: true,
  dataPath: { path: "/usr/bin/node", arguments: ["pasta", "data-path.js"], variables: [] },
  handOver: { takeAway: [], keep: [] },
  guard: [],
  pipes: { settings: { readEnd: 20, writeEnd: 21 }, report: { readEnd: 22, writeEnd: 23 } },
}

const kinds = (steps: readonly Step[]) => steps.map((step) => step.kind)
const ofKind = <Kind extends Step["kind"]>(steps: readonly Step[], kind: Kind) =>
  steps.filter((step): step is Extract<Step, { kind: Kind }> => step.kind === kind)

describe("the steps of the data path of a namespace that exists", () => {
  it("open the network namespace from inside of the user namespace", () => {
    const steps = namespaceSteps(plan)
    const join = steps.findIndex((step) => step.kind === "enterNamespace" && step.descriptor === 30)
    const open = steps.findIndex((step) => step.kind === "open" && step.path === "/run/netns/box")
    expect(join).toBeGreaterThanOrEqual(0)
    expect(open).toBeGreaterThan(join)
    expect(steps[join + 1]).toEqual({ kind: "keepCapabilities" })
    expect(steps[open]).toMatchObject({ number: DataPathDescriptor.network })
    expect(kinds(namespaceSteps({ ...plan, userNamespace: undefined }))).not.toContain("enterNamespace")
  })

  it("leave nothing of the caller's open in the background, and nothing that ends with them", () => {
    const steps = namespaceSteps(plan)
    const standard = ofKind(steps, "open").filter(({ number }) => number <= 2)
    expect(standard.map(({ path, number }) => [path, number])).toEqual([0, 1, 2].map((number) => ["/dev/null", number]))
    expect(ofKind(steps, "closeOnExecFrom")).toEqual([{ kind: "closeOnExecFrom", first: 7 }])
    expect(kinds(steps).slice(-2)).toEqual(["newSession", "execute"])
  })

  it("leave no number open that nothing was given", () => {
    const steps = namespaceSteps({ ...plan, process: undefined })
    expect(ofKind(steps, "closeOnExecFrom")).toEqual([{ kind: "closeOnExecFrom", first: DataPathDescriptor.process }])
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
