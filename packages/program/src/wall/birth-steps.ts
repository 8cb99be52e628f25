/**
 * The wall's first half for a process that stays one: what it gives up before it executes its runtime.
 *
 * The process that the user starts carries the list out: `native/become` of `@demiflow/sys`, see birth.ts. The list is written where the
 * program is installed, before it is known who starts it, and with what options.
 */
import { type ExecutableIdentity, MountFlag, type Native, type Step, type StepCondition } from "@demiflow/sys"
import { memoryOptions, NEEDED_VARIABLES } from "../runtime.ts"
import { CAPABILITIES_OF_ROOT, emptying, guardRuntime, keepOnly, OTHER_NAMESPACES } from "./steps.ts"

/**
 * How options begin that make a difference, however they are shortened: `--runas` and `--print-sandbox`. Another one that begins like the
 * first only has less given up; one that begins like the second only prints.
 */
const RUN_AS = "--r"
const PRINT_SANDBOX = "--pr"

/** Is there once the list has been carried out: where the helper is, or nothing if there is none. */
export const BIRTH_VARIABLE = "DEMIFLOW_BIRTH"

/** What a process may have to do until everything is open: what root does, to bind ports below 1024, or nothing of the kind. */
type Needs = "root" | "ports" | "nothing"

/**
 * What `become` carries out; nothing is given up where what is possible is only to be printed.
 *
 * @param runtime the one that this process runs by: only the same one gets its options
 */
export function birthSteps(native: Native, runtime: ExecutableIdentity): Step[] {
  const { setUser, bindPrivilegedPorts } = CAPABILITIES_OF_ROOT
  const born = (condition: StepCondition, needs: Needs): Step => ({
    kind: "onlyIf",
    condition,
    steps: [...makeNamespaces(needs), ...keepOnly(needs === "root", needs === "ports"), ...guardRuntime(native)],
  })
  return [
    // The caller's options for this runtime, as for any of theirs.
    { kind: "keepVariables", beginnings: [...NEEDED_VARIABLES, "NODE_OPTIONS="] },
    { kind: "setVariable", variable: `${BIRTH_VARIABLE}=` },
    { kind: "addOptions", executable: runtime, options: memoryOptions() },
    { kind: "onlyIf", condition: { argument: PRINT_SANDBOX }, steps: [] },
    born({ isRoot: true }, "root"),
    born({ capability: setUser, argument: RUN_AS }, "root"),
    born({ capability: bindPrivilegedPorts }, "ports"),
    born({}, "nothing"),
  ]
}

/** As `wallSteps` does, and with the same exceptions. */
function makeNamespaces(needs: Needs): Step[] {
  return [
    {
      kind: "try",
      steps: [
        { kind: needs === "nothing" ? "unshareUser" : "unshare", flags: OTHER_NAMESPACES },
        { kind: "mount", source: "none", target: "/", type: "", flags: MountFlag.recursive | MountFlag.private },
        { kind: "spawnHelper", variable: BIRTH_VARIABLE, steps: helperSteps() },
      ],
    },
  ]
}

/**
 * The helper keeps the privileges that it takes to mount, and nothing else of the caller's. It does what helper.ts asks for. The kernel
 * gives the new root to all processes of the mount namespace: pivot_root(2).
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
