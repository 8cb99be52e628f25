import { writeSync } from "node:fs"
import type { RunAs } from "@demiflow/config"
import { Arena } from "@demiflow/core"
import { attachArena, type CallRule } from "@demiflow/sys"
import { readIdentityFacts, requestedIdentity } from "../identity.ts"
import { listParts } from "./parts.ts"
import { tryWall } from "./try-out.ts"

const ARENA_BYTES = 256 * 1024
const STDOUT = 1

/**
 * Prints which parts of the wall would hold here, and why the others wouldn't. Returns the status to exit with. Throws
 * a `SystemError`.
 */
export function printSandbox(runAs: RunAs | undefined, calls: readonly CallRule[]): number {
  const arena = new Arena(ARENA_BYTES)
  const facts = readIdentityFacts()
  const changesIdentity = requestedIdentity(runAs, facts) !== undefined
  writeSync(STDOUT, listParts(tryWall(attachArena(arena), arena, facts, changesIdentity, calls)))
  return 0
}
