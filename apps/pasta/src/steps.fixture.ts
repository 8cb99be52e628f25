/** Plans of steps, with values that the tests don't depend on. */
import { Arena } from "@demiflow/core"
import { attachArena } from "@demiflow/sys"
import type { CommandPlan } from "./command-steps.ts"

const map = "1000 1000 1"

/** For an ordinary user, with made-up descriptors. */
export const outside: Pick<CommandPlan, "native" | "facts" | "changesIdentity" | "pipes"> = {
  native: attachArena(new Arena(1 << 16)),
  facts: {
    user: 1000,
    group: 100,
    userMap: map,
    groupMap: map,
    passwords: "",
    groups: "",
    capabilities: [],
  },
  changesIdentity: false,
  pipes: {
    settings: { readEnd: 20, writeEnd: 21 },
    mapped: { readEnd: 22, writeEnd: 23 },
    go: { readEnd: 24, writeEnd: 25 },
    report: { readEnd: 26, writeEnd: 27 },
    empty: { readEnd: 28, writeEnd: 29 },
    namespace: { ours: 40, theirs: 41 },
    helperLife: { readEnd: 42, writeEnd: 43 },
  },
}
