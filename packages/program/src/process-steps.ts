/** Steps that every data path's process takes before its runtime. */
import { OpenFlag, type Step } from "@demiflow/sys"
import type { RuntimeCommand } from "./runtime.ts"

const SIGKILL = 9

/** Empties standard input, leaves standard output to the command alone, if there is one, and keeps standard error. */
export const keepStandardError: readonly Step[] = [
  { kind: "open", path: "/dev/null", flags: OpenFlag.readWrite, number: 0 },
  { kind: "duplicate", descriptor: 2, number: 1, mayFail: true },
  keepOpen(2),
]

/** Replaces all standard descriptors of the caller. */
export const leaveStandardDescriptors: readonly Step[] = [0, 1, 2].map((number) => ({
  kind: "open",
  path: "/dev/null",
  flags: OpenFlag.readWrite,
  number,
}))

/** Makes the process end with its parent. A change of user undoes it. */
export const dieWithParent: Step = { kind: "dieWithParent", signal: SIGKILL }

/** Executes the runtime of the data path. */
export function executeRuntime({ path, arguments: words, variables }: RuntimeCommand): Step {
  return { kind: "execute", paths: [path], arguments: words, variables }
}

/** Leaves a descriptor as the caller passed it, open or not: the runtime has marked it close-on-exec. */
export function keepOpen(descriptor: number): Step {
  return { kind: "duplicate", descriptor, number: descriptor, mayFail: true }
}
