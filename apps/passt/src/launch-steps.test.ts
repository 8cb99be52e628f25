import { defaultOptions } from "@demiflow/config"
import { handOver } from "@demiflow/program/launch"
import { describe, expect, it } from "vitest"
import { launchSteps } from "./launch-steps.ts"

const pipes = {
  settings: { readEnd: 20, writeEnd: 21 },
  report: { readEnd: 22, writeEnd: 23 },
}
const dataPath = { path: "/bin/node", arguments: ["passt", "x"], variables: [] }
const handedOver = { takeAway: [], keep: [] }
const plan = { pipes, dataPath, hypervisor: undefined, helper: undefined, handOver: handedOver, guard: [] }

describe("launchSteps", () => {
  it("leaves nothing of the caller's open", () => {
    const steps = launchSteps(plan)
    expect(steps.filter(({ kind }) => kind === "open")).toMatchObject(
      [0, 1, 2].map((number) => ({ path: "/dev/null", number })),
    )
    expect(steps.at(-3)).toEqual({ kind: "closeOnExecFrom", first: 5 })
    expect(steps.at(-1)?.kind).toBe("execute")
  })

  it("keeps a descriptor that the user names, taken away before its number is used for something else", () => {
    const { options: _, ...handOverOf4 } = handOver({ ...defaultOptions(), logPath: "/dev/fd/4" })
    const steps = launchSteps({ ...plan, handOver: handOverOf4 })
    expect(steps[0]).toMatchObject({ kind: "duplicate", descriptor: 4, number: 200 })
    expect(steps.slice(-4, -2)).toMatchObject([{ kind: "closeOnExecFrom" }, { kind: "duplicate", number: 200 }])
  })

  it("takes the hypervisor's connection along before its number is used for something else", () => {
    const steps = launchSteps({ ...plan, hypervisor: 3 })
    expect(steps[0]).toEqual({ kind: "duplicate", descriptor: 3, number: 6 })
    expect(steps.slice(-4, -2)).toMatchObject([
      { kind: "closeOnExecFrom", first: 5 },
      { kind: "duplicate", descriptor: 6, number: 6 },
    ])
  })

  it("takes the way to the helper along", () => {
    const steps = launchSteps({ ...plan, helper: 250 })
    expect(steps[0]).toEqual({ kind: "duplicate", descriptor: 250, number: 5 })
    expect(steps.slice(-4, -2)).toMatchObject([
      { kind: "closeOnExecFrom", first: 5 },
      { kind: "duplicate", descriptor: 5, number: 5 },
    ])
  })

  it("gives up what is to be given up once nothing else is open", () => {
    const guard = { kind: "limitCapabilities", kept: [] } as const
    expect(launchSteps({ ...plan, guard: [guard] }).slice(-4, -2)).toEqual([
      { kind: "closeOnExecFrom", first: 5 },
      guard,
    ])
  })
})
