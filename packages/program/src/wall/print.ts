import { writeSync } from "node:fs"
import type { RunAs } from "@demiflow/config"
import { Arena } from "@demiflow/core"
import { attachArena, type CallRule } from "@demiflow/sys"
import { readIdentityFacts, requestedIdentity } from "../identity.ts"
import { type Finding, tryWall } from "./try-out.ts"

const ARENA_BYTES = 256 * 1024
const STDOUT = 1

/** What `--print-sandbox` shows: a line for each part of the wall. */
export function describeFindings(findings: readonly Finding[]): string {
  return findings
    .map(({ what, whyNot }) => (whyNot === undefined ? `yes: ${what}\n` : `no: ${what}: ${whyNot}\n`))
    .join("")
}

/** Prints what of the wall would hold here, and why not the rest; answers the status to exit with. Throws a `SystemError`. */
export function printSandbox(runAs: RunAs | undefined, calls: readonly CallRule[]): number {
  const arena = new Arena(ARENA_BYTES)
  const facts = readIdentityFacts()
  const changesIdentity = requestedIdentity(runAs, facts) !== undefined
  writeSync(STDOUT, describeFindings(tryWall(attachArena(arena), arena, facts, changesIdentity, calls)))
  return 0
}
