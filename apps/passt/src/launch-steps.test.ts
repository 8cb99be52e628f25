import { defaultOptions } from "@demiflow/config"
import { handOver } from "@demiflow/program/launch"
import { describe, expect, it } from "vitest"
import { launchSteps } from "./launch-steps.ts"

const pipes = { settings: { readEnd: 20, writeEnd: 21 }, report: { readEnd: 22, writeEnd: 23 } }
const runtime = { path: "/bin/node", arguments: ["passt", "x"], variables: [] }
const none = { takeAway: [], keep: [] }

describe("launchSteps", () => {
  it("leaves nothing of the caller's open", () => {
    const steps = launchSteps(pipes, undefined, runtime, none)
    expect(steps.filter(({ kind }) => kind === "open")).toMatchObject(
      [0, 1, 2].map((number) => ({ path: "/dev/null", number })),
    )
    expect(steps.at(-3)).toEqual({ kind: "closeOnExecFrom", first: 5 })
    expect(steps.at(-1)?.kind).toBe("execute")
  })

  it("keeps a descriptor that the user names, taken away before its number is used for something else", () => {
    const { options: _, ...handedOver } = handOver({ ...defaultOptions(), logPath: "/dev/fd/4" })
    const steps = launchSteps(pipes, undefined, runtime, handedOver)
    expect(steps[0]).toMatchObject({ kind: "duplicate", descriptor: 4, number: 200 })
    expect(steps.slice(-4, -2)).toMatchObject([{ kind: "closeOnExecFrom" }, { kind: "duplicate", number: 200 }])
  })

  it("takes the hypervisor's connection along before its number is used for something else", () => {
    const steps = launchSteps(pipes, 3, runtime, none)
    expect(steps[0]).toEqual({ kind: "duplicate", descriptor: 3, number: 5 })
    expect(steps.at(-3)).toEqual({ kind: "closeOnExecFrom", first: 6 })
  })
})
