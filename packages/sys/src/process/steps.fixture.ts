import { Arena } from "@demiflow/core"
import { expect } from "vitest"
import { attachArena } from "../attach.ts"
import type { Native } from "../native.ts"
import { LineSplitter, parseStepFailure, type StepFailure } from "./report.ts"
import { runSteps } from "./run-steps.ts"
import type { Step } from "./steps.ts"
import { type ProcessEnd, parseWaitStatus } from "./wait-status.ts"

export const arena: Arena = new Arena(1 << 20)
export const native: Native = attachArena(arena)
export const scratch: number = arena.reserve(4096, 8)

/** Runs steps and reads all that they write. */
export function carryOut(steps: (pipes: Pipes) => Step[]): Outcome {
  const pipes = { report: pipe(), output: pipe(), input: pipe() }
  const child = runSteps(native, arena, steps(pipes), pipes.report.writeEnd)
  native.close(pipes.report.writeEnd)
  native.close(pipes.output.writeEnd)
  native.close(pipes.input.readEnd)
  native.close(pipes.input.writeEnd)
  const output = readAll(pipes.output.readEnd)
  const failures = new LineSplitter().add(readAll(pipes.report.readEnd)).map((line) => {
    const failure = parseStepFailure(line, child.steps)
    if (failure === undefined) throw new Error(`not a report of a failed step: ${line}`)
    return failure
  })
  expect(native.waitPid(child.process, 0, scratch)).toBe(child.process)
  return { output, failures, end: parseWaitStatus(arena.view.getInt32(scratch, true)) }
}

export interface Pipe {
  readEnd: number
  writeEnd: number
}
export interface Pipes {
  report: Pipe
  output: Pipe
  input: Pipe
}
export interface Outcome {
  output: string
  failures: StepFailure[]
  end: ProcessEnd
}

function pipe(): Pipe {
  expect(native.createPipe(scratch)).toBe(0)
  return { readEnd: arena.view.getInt32(scratch, true), writeEnd: arena.view.getInt32(scratch + 4, true) }
}

function readAll(descriptor: number): string {
  native.fileControl(descriptor, 4, 0)
  let text = ""
  for (;;) {
    const count = native.read(descriptor, scratch, 4096)
    if (count <= 0) break
    text += Buffer.from(arena.bytes.subarray(scratch, scratch + count)).toString()
  }
  native.close(descriptor)
  return text
}

export function shell(script: string, ...more: string[]): Step {
  return { kind: "execute", paths: ["/bin/sh"], arguments: ["sh", "-c", script, ...more] }
}
