/**
 * The wall's first half for a program that stays one process: the privileges that it gives up before it executes its
 * runtime.
 *
 * The process that the user starts carries the list out: `native/become` of `@demiflow/sys`, see birth.ts. The list is
 * written where the program is installed, before it is known who starts it, and with what options.
 */
import type { ExecutableIdentity, Native, Step, StepCondition } from "@demiflow/sys"
import { memoryOptions, NEEDED_VARIABLES } from "../runtime.ts"
import { CAPABILITIES_OF_ROOT, emptying, guardRuntime, keepOnly, OTHER_NAMESPACES, separateMounts } from "./steps.ts"

/**
 * Prefixes of the options that make a difference, however they are abbreviated: `--runas` and `--print-sandbox`. With
 * another option that begins like the first, less is given up; one that begins like the second only prints.
 */
const RUN_AS = "--r"
const PRINT_SANDBOX = "--pr"

/** Set once the list has been carried out: names the connection to the helper; empty if there is no helper. */
export const BIRTH_VARIABLE = "DEMIFLOW_BIRTH"

/** The variable's value if there are namespaces but no helper. */
export const ONLY_NAMESPACES = "namespaces"

/** What a process may have to do until everything is open: what root does, binding ports below 1024, or neither. */
type Needs = "root" | "ports" | "nothing"

/**
 * The list that `become` carries out. If the user only wants the possible parts printed, nothing is given up.
 *
 * @param runtime identity of the runtime that runs this process: only the same one gets its options; undefined: it has
 *   them
 */
export function birthSteps(native: Native, runtime: ExecutableIdentity | undefined): Step[] {
  const { setUser, bindPrivilegedPorts } = CAPABILITIES_OF_ROOT
  const born = (condition: StepCondition, needs: Needs): Step => ({
    kind: "onlyIf",
    condition,
    steps: [...makeNamespaces(needs), ...keepOnly(needs === "root", needs === "ports"), ...guardRuntime(native)],
  })
  return [
    // The caller's options for this runtime are kept, as for any Node.js program.
    { kind: "keepVariables", beginnings: [...NEEDED_VARIABLES, "NODE_OPTIONS="] },
    { kind: "setVariable", variable: `${BIRTH_VARIABLE}=` },
    ...(runtime === undefined ? [] : [{ kind: "addOptions", executable: runtime, options: memoryOptions() } as const]),
    { kind: "onlyIf", condition: { argument: PRINT_SANDBOX }, steps: [] },
    born({ isRoot: true }, "root"),
    born({ capability: setUser, argument: RUN_AS }, "root"),
    born({ capability: bindPrivilegedPorts }, "ports"),
    born({}, "nothing"),
  ]
}

/** As in `wallSteps`, with the same exceptions. */
function makeNamespaces(needs: Needs): Step[] {
  return [
    {
      kind: "try",
      steps: [
        { kind: needs === "nothing" ? "unshareUser" : "unshare", flags: OTHER_NAMESPACES },
        { kind: "setVariable", variable: `${BIRTH_VARIABLE}=${ONLY_NAMESPACES}` },
        ...separateMounts,
        { kind: "spawnHelper", variable: BIRTH_VARIABLE, steps: helperSteps() },
      ],
    },
  ]
}

/**
 * The helper keeps the privileges needed for mounting, and nothing else of the caller's. It does what helper.ts
 * requests. The kernel changes the root of all processes in the mount namespace: pivot_root(2).
 */
function helperSteps(): Step[] {
  const way = 0
  return [
    { kind: "mountReceived", descriptor: way },
    { kind: "putByte", descriptor: way },
    { kind: "waitByte", descriptor: way },
    ...emptying,
    { kind: "putByte", descriptor: way },
  ]
}
