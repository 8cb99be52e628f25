/** The log's lines about the sandbox at `--debug`. */
import { expect } from "vitest"

/** Named as by `--print-sandbox`. */
const PARTS = [
  "namespaces of its own",
  "an empty root",
  "no capabilities",
  "no new privileges",
  "not dumpable",
  "no io_uring",
  "filtered system calls",
]

/** All parts hold except these; a kernel may lack Landlock. */
export function expectParts(log: string, missing: readonly string[]): void {
  const [, line = ""] = /Sandbox: (.*)$/m.exec(log) ?? []
  const [holds, without] = line.split("; without ").map((parts) => parts.split(", "))
  const named = (parts: readonly string[] = []) => parts.filter((part) => part !== "Landlock")
  expect(named(holds)).toEqual(PARTS.filter((part) => !missing.includes(part)))
  expect(named(without)).toEqual(PARTS.filter((part) => missing.includes(part)))
}
