/** Tries the wall out: takes every step that a data path would take here, in a process that ends after the last one. */
import { readSync } from "node:fs"
import type { Arena } from "@demiflow/core"
import {
  type CallRule,
  encodeFilter,
  errnoName,
  errnoSentence,
  FilterFlag,
  LineSplitter,
  type Native,
  ProcessControl,
  parseStepFailure,
  runSteps,
  type Step,
  type StepFailure,
} from "@demiflow/sys"
import { createPipe } from "../data-path-process.ts"
import type { IdentityFacts } from "../identity.ts"
import { restriction } from "./landlock.ts"
import type { Findings } from "./parts.ts"
import { wallSteps } from "./steps.ts"

/** A number that nothing else uses. */
const HELPER = 60
const READ_BYTES = 4096

/**
 * Finds out which parts of the wall hold here. Throws a `SystemError` if no process can be started.
 *
 * @param changesIdentity true if the data path would change its user
 * @param calls that it would still make
 */
export function tryWall(
  native: Native,
  arena: Arena,
  facts: IdentityFacts,
  changesIdentity: boolean,
  calls: readonly CallRule[],
): Findings {
  const scratch = arena.reserve(8, 8, "the sandbox")
  const report = createPipe(native, arena, scratch)
  const empty = createPipe(native, arena, scratch)
  // The helper needn't wait: the steps after it open nothing.
  native.write(empty.writeEnd, scratch, 1)
  const lock = restriction(native.landlockVersion(), undefined)
  const filter = encodeFilter(native, calls, { kind: "signal" })
  const steps: Step[] = [
    ...wallSteps({
      native,
      facts,
      changesIdentity,
      folder: undefined,
      empty: empty.readEnd,
      helper: HELPER,
      notForHelper: [empty.writeEnd],
    }),
    { kind: "control", option: ProcessControl.setDumpable, value: 0, mayFail: true },
    ...(lock === undefined ? [] : [{ ...lock, mayFail: true } as const]),
    ...(filter === undefined
      ? []
      : [{ kind: "filterCalls", filter, flags: FilterFlag.allThreads, mayFail: true } as const]),
  ]
  const child = runSteps(native, arena, steps, report.writeEnd)
  for (const end of [report.writeEnd, empty.readEnd, empty.writeEnd]) native.close(end)
  const failures = readLines(report.readEnd).flatMap((line) => parseStepFailure(line, child.steps) ?? [])
  native.close(report.readEnd)
  native.waitPid(child.process, 0, scratch)
  return describe(failures, {
    hasLandlock: lock !== undefined,
    hasFilters: filter !== undefined,
    hasCapabilities: facts.capabilities.length > 0,
    keepsCapabilities:
      !changesIdentity && steps.some((step) => step.kind === "limitCapabilities" && step.kept.length > 0),
  })
}

/** Reads until the end of both the process and the helper that it has left behind. */
function readLines(descriptor: number): string[] {
  const splitter = new LineSplitter()
  const lines: string[] = []
  const bytes = new Uint8Array(READ_BYTES)
  for (let count = readSync(descriptor, bytes); count > 0; count = readSync(descriptor, bytes)) {
    lines.push(...splitter.add(Buffer.from(bytes.subarray(0, count)).toString()))
  }
  return lines
}

interface Circumstances {
  readonly hasLandlock: boolean
  readonly hasFilters: boolean
  readonly hasCapabilities: boolean
  readonly keepsCapabilities: boolean
}

const KEPT = "those of the caller's by which ports below 1024, and root's files, are opened"
const NO_FILTERS = "there are no filters for this architecture"

/** Assigns failures to parts, in the order of the steps: those of the helper come last. */
function describe(failures: readonly StepFailure[], circumstances: Circumstances): Findings {
  const { hasLandlock, hasFilters, hasCapabilities, keepsCapabilities } = circumstances
  const reason = (applies: (step: Step) => boolean): string | undefined => {
    const failure = failures.find(({ step }) => applies(step))
    return failure && reasonOf(failure)
  }
  const kind =
    (...kinds: Step["kind"][]) =>
    (step: Step): boolean =>
      kinds.includes(step.kind)
  const noNamespaces = reason(kind("open", "unshare", "writeFile"))
  const noFilters = hasFilters ? undefined : NO_FILTERS
  return {
    namespaces: noNamespaces,
    emptyRoot: noNamespaces ?? reason(kind("mount", "coverInitramfs", "spawn", "openChild", "pivotRoot")),
    noCapabilities: keepsCapabilities ? KEPT : hasCapabilities ? reason(kind("limitCapabilities")) : undefined,
    noNewPrivileges: reason((step) => step.kind === "control" && step.option === ProcessControl.noNewPrivileges),
    notDumpable: reason((step) => step.kind === "control" && step.option === ProcessControl.setDumpable),
    noRings: noFilters ?? reason((step) => step.kind === "filterCalls" && step.flags === 0),
    filter: noFilters ?? reason((step) => step.kind === "filterCalls" && step.flags !== 0),
    landlock: hasLandlock
      ? reason(kind("restrict"))
      : "the kernel has none, or none that is switched on: its parameter lsm",
  }
}

/** The system's error, and where its reason may be found. */
function reasonOf({ step, errno }: StepFailure): string {
  const system = `${errnoSentence(errno)} (${errnoName(errno)})`
  const where = EXPLANATION[`${step.kind} ${errnoName(errno)}`]
  return where === undefined ? `${step.kind}: ${system}` : `${step.kind}: ${system}: see ${where}`
}

const EXPLANATION: Readonly<Record<string, string>> = {
  "unshare EPERM":
    "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, or the container's seccomp profile; in a chroot, nobody may",
  "unshare ENOSPC": "user.max_user_namespaces and its like, or how deep namespaces are nested",
  "unshare EINVAL": "CONFIG_USER_NS and its like: the kernel has no such namespaces",
  "unshare ENOSYS": "the container's seccomp profile",
  "writeFile EPERM": "kernel.apparmor_restrict_unprivileged_userns, or CAP_SETFCAP: user 0 without it can't be mapped",
  "mount ENOSYS": "the container's seccomp profile",
  "mount EACCES": "kernel.apparmor_restrict_unprivileged_userns",
  "mount EPERM": "kernel.apparmor_restrict_unprivileged_userns, or the container's seccomp profile",
  "mount EINVAL": "chroot(2): its folder isn't the root of a mount",
  "pivotRoot EINVAL": "pivot_root(2): the root is an initramfs, or no mount of its own",
  "pivotRoot EPERM": "the container's seccomp profile",
  "filterCalls EINVAL": "CONFIG_SECCOMP_FILTER: the kernel has no filters",
}
