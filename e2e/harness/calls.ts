/** Compares the system calls that a process makes, as strace(1) reports them, with its list of allowed calls. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { CallRule } from "@demiflow/sys"
import { temporaryFolder } from "./machine.ts"
import { Program } from "./processes.ts"

/** A system call with the lower 32 bits of its arguments, which are all that a filter compares. */
export interface Call {
  readonly name: string
  readonly words: readonly number[]
}

/** Records a process's calls, from now to its end. */
export class CallTrace {
  readonly #program: Program
  readonly #file: string

  private constructor(program: Program, file: string) {
    this.#program = program
    this.#file = file
  }

  /** Resolves once all threads are traced. */
  static async of(pid: number): Promise<CallTrace> {
    const file = join(temporaryFolder("calls"), "trace")
    // Arguments as numbers.
    const argv = [
      "strace",
      "--follow-forks",
      `--attach=${pid}`,
      `--output=${file}`,
      "-e",
      "raw=all",
      "-e",
      "signal=none",
    ]
    const program = new Program(argv)
    await program.printed(/attached/, "stderr")
    return new CallTrace(program, file)
  }

  /** All calls, once the process has ended. */
  async calls(): Promise<readonly Call[]> {
    await this.#program.result
    return readFileSync(this.#file, "latin1").split("\n").flatMap(parseCall)
  }
}

/** If another thread interrupts a call, the line with its beginning has the arguments. */
function parseCall(line: string): Call[] {
  const [, name, list] = /^\d+ +(\w+)\(([^)<]*)/.exec(line) ?? []
  if (name === undefined) return []
  const words = list.split(",").map((text) => Number(BigInt.asUintN(32, BigInt(text.trim() || 0))))
  return [{ name, words }]
}

/** The result of a comparison with a list of rules. */
export interface Comparison {
  /** Parts of rules that no call needed, as "call", "call ARGUMENT=VALUE" or "call refused". */
  readonly unneeded: readonly string[]
  /** Calls to which no rule applies. */
  readonly unlisted: readonly string[]
}

/** Compares calls with a list. Each value that a rule allows for an argument is a separate part. */
export function compareCalls(rules: readonly CallRule[], calls: readonly Call[]): Comparison {
  const needed = new Set<string>()
  const unlisted = new Set<string>()
  for (const call of calls) {
    const parts = partsFor(rules, call)
    if (parts === undefined) unlisted.add(call.name)
    for (const part of parts ?? []) needed.add(part)
  }
  const all = new Set(rules.flatMap(partsOf))
  return { unneeded: [...all].filter((part) => !needed.has(part)), unlisted: [...unlisted] }
}

/** The parts of the first rule that applies to a call. */
function partsFor(rules: readonly CallRule[], { name, words }: Call): readonly string[] | undefined {
  for (const rule of rules) {
    if (rule.call !== name) continue
    if (rule.when === undefined) return [describe(rule)]
    for (const conditions of rule.when) {
      const values = conditions.map(({ argument, mask = -1, oneOf }) =>
        oneOf.find((value) => value >>> 0 === (words[argument] & mask) >>> 0),
      )
      if (values.includes(undefined)) continue
      return conditions.map(({ argument }, index) => describe(rule, argument, values[index]))
    }
  }
  return undefined
}

/** The parts of a rule. */
export function partsOf(rule: CallRule): readonly string[] {
  if (rule.when === undefined) return [describe(rule)]
  return rule.when.flat().flatMap(({ argument, oneOf }) => oneOf.map((value) => describe(rule, argument, value)))
}

function describe({ call, refuse }: CallRule, argument?: number, value?: number): string {
  const condition = argument === undefined ? "" : ` ${argument}=${value}`
  return `${call}${condition}${refuse === undefined ? "" : " refused"}`
}
