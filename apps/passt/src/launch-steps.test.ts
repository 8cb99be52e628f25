import { describe, expect, it } from "vitest"
import { launchSteps } from "./launch-steps.ts"

const pipes = { settings: { readEnd: 20, writeEnd: 21 }, report: { readEnd: 22, writeEnd: 23 } }
const runtime = { path: "/bin/node", arguments: ["passt", "x"], variables: [] }

describe("launchSteps", () => {
  it("leaves nothing of the caller's open", () => {
    const steps = launchSteps(pipes, undefined, runtime)
    expect(steps.filter(({ kind }) => kind === "open")).toMatchObject(
      [0, 1, 2].map((number) => ({ path: "/dev/null", number })),
    )
    expect(steps.at(-3)).toEqual({ kind: "closeOnExecFrom", first: 5 })
    expect(steps.at(-1)?.kind).toBe("execute")
  })

  it("takes the hypervisor's connection along before its number is used for something else", () => {
    const steps = launchSteps(pipes, 3, runtime)
    expect(steps[0]).toEqual({ kind: "duplicate", descriptor: 3, number: 5 })
    expect(steps.at(-3)).toEqual({ kind: "closeOnExecFrom", first: 6 })
  })
})
