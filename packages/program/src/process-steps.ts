/** Steps that every data path's process takes before its runtime. */
import { OpenFlag, type Step } from "@demiflow/sys"
import type { RuntimeCommand } from "./runtime.ts"

const SIGKILL = 9

/** Standard input is empty, standard output is the command's alone, or nobody's, and standard error stays. */
export const keepStandardError: readonly Step[] = [
  { kind: "open", path: "/dev/null", flags: OpenFlag.readWrite, number: 0 },
  { kind: "duplicate", descriptor: 2, number: 1, mayFail: true },
  keepOpen(2),
]

/** None of the standard descriptors stays the caller's. */
export const leaveStandardDescriptors: readonly Step[] = [0, 1, 2].map((number) => ({
  kind: "open",
  path: "/dev/null",
  flags: OpenFlag.readWrite,
  number,
}))

/** Has the process end with the one that started it. A change of user undoes it. */
export const dieWithParent: Step = { kind: "dieWithParent", signal: SIGKILL }

/** Becomes the data path. */
export function executeRuntime({ path, arguments: words, variables }: RuntimeCommand): Step {
  return { kind: "execute", paths: [path], arguments: words, variables }
}

/** Leaves a descriptor as the caller had it, open or not: the runtime has marked it to be closed on exec. */
export function keepOpen(descriptor: number): Step {
  return { kind: "duplicate", descriptor, number: descriptor, mayFail: true }
}
