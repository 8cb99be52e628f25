import { defaultOptions } from "@demiflow/config"
import { handOver } from "@demiflow/program/launch"
import { describe, expect, it } from "vitest"
import { launchSteps } from "./launch-steps.ts"

const pipes = {
  settings: { readEnd: 20, writeEnd: 21 },
  report: { readEnd: 22, writeEnd: 23 },
  empty: { readEnd: 24, writeEnd: 25 },
}
const dataPath = { path: "/bin/node", arguments: ["passt", "x"], variables: [] }
const handedOver = { takeAway: [], keep: [] }
const plan = { pipes, dataPath, hypervisor: undefined, isBackground: true, handOver: handedOver, wall: [] }

describe("launchSteps", () => {
  it("leaves nothing of the caller's open", () => {
    const steps = launchSteps(plan)
    expect(steps.filter(({ kind }) => kind === "open")).toMatchObject(
      [0, 1, 2].map((number) => ({ path: "/dev/null", number })),
    )
    expect(steps.at(-3)).toEqual({ kind: "closeOnExecFrom", first: 6 })
    expect(steps.at(-1)?.kind).toBe("execute")
  })

  it("leaves standard error open in the foreground, also as the output", () => {
    const steps = launchSteps({ ...plan, isBackground: false })
    expect(steps.filter(({ kind }) => kind === "open")).toMatchObject([{ path: "/dev/null", number: 0 }])
    expect(steps).toContainEqual({ kind: "duplicate", descriptor: 2, number: 1, mayFail: true })
    expect(steps).toContainEqual({ kind: "duplicate", descriptor: 2, number: 2, mayFail: true })
  })

  it("keeps a descriptor that the user names, taken away before its number is used for something else", () => {
    const { options: _, ...handOverOf4 } = handOver({ ...defaultOptions(), logPath: "/dev/fd/4" })
    const steps = launchSteps({ ...plan, handOver: handOverOf4 })
    expect(steps[0]).toMatchObject({ kind: "duplicate", descriptor: 4, number: 200 })
    expect(steps.slice(-4, -2)).toMatchObject([{ kind: "closeOnExecFrom" }, { kind: "duplicate", number: 200 }])
  })

  it("takes the hypervisor's connection along before its number is used for something else", () => {
    const steps = launchSteps({ ...plan, hypervisor: 3 })
    expect(steps[0]).toEqual({ kind: "duplicate", descriptor: 3, number: 7 })
    expect(steps.slice(-4, -2)).toMatchObject([
      { kind: "closeOnExecFrom", first: 6 },
      { kind: "duplicate", descriptor: 7, number: 7 },
    ])
  })

  it("gives up what is to be given up once nothing else is open", () => {
    const wall = { kind: "limitCapabilities", kept: [] } as const
    expect(launchSteps({ ...plan, wall: [wall] }).slice(-4, -2)).toEqual([{ kind: "closeOnExecFrom", first: 6 }, wall])
  })
})
