import { constants } from "node:os"
import { errnoName, errnoSentence, type Step, type StepFailure, type Text } from "@demiflow/sys"

/** A message for the user: one line, without the program's name. */
export interface Complaint {
  readonly text: string
  /** True if the program goes on. */
  readonly isWarning: boolean
  /** Otherwise, the status to exit with. */
  readonly status: number
}

/** What a step doesn't know about its purpose. */
export interface StepContext {
  /** The command's name, as the user typed it. */
  readonly commandName?: string
  /** Path of the user namespace that is joined; undefined: the one created for the command. */
  readonly userNamespacePath?: string | undefined
  /** True if the command is to run as another user. */
  readonly changesIdentity?: boolean
}

/** Which groups may ping without privileges in a network namespace: icmp(7). */
export const PING_GROUPS = "/proc/sys/net/ipv4/ping_group_range"

const STATUS_FAILED = 1
/** The statuses of shells. */
const STATUS_NOT_EXECUTABLE = 126
const STATUS_NOT_FOUND = 127

const NEW_USER_NAMESPACE = 0x10000000
const { EPERM, EACCES, ENOSPC, ENOENT, EINVAL, ENOSYS } = constants.errno
/** Nested too deeply, in kernels before 4.9. */
const EUSERS = 87
/** The error of a tap device whose interface was deleted. */
const EBADFD = 77

/** Explains a step that failed, and what to do about it; undefined if the user needn't know. */
export function explainStepFailure({ step, errno }: StepFailure, context: StepContext): Complaint | undefined {
  if (step.mayFail) {
    const text = explainLoss(step, reasonOf(errno))
    return text === undefined ? undefined : { text, isWarning: true, status: STATUS_FAILED }
  }
  return { text: explainEnd(step, errno, context), isWarning: false, status: statusOf(step, errno) }
}

/** Explains why the tap device is gone. */
export function explainLostTap(name: string, errno: number): string {
  if (errno === EBADFD) return `The interface ${name} is gone: it was deleted in the namespace`
  return `Can't read from the interface ${name} any more: ${reasonOf(errno)}`
}

function statusOf(step: Step, errno: number): number {
  if (!isCommand(step)) return STATUS_FAILED
  return errno === ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE
}

/** True if a step executes the command: it inherits its variables, while the runtime is given its own. */
function isCommand(step: Step): boolean {
  return step.kind === "execute" && step.variables === undefined
}

/** Losses that the command can do without. `raiseWall` reports those of the data path. */
function explainLoss(step: Step, reason: string): string | undefined {
  if (step.kind === "mount" && step.type === "proc") {
    return `Can't mount /proc in the new PID namespace: ${reason}; programs will see the processes outside`
  }
  if (step.kind === "writeFile" && step.path === PING_GROUPS) {
    return `Can't set ping_group_range in the namespace: ${reason}; ping may not work without privileges`
  }
  return undefined
}

function explainEnd(step: Step, errno: number, context: StepContext): string {
  const { commandName, userNamespacePath, changesIdentity } = context
  const reason = reasonOf(errno)
  switch (step.kind) {
    case "spawn":
      return `Can't create the namespaces: ${reason}; ${adviceOnCreating(step.flags, errno)}`
    case "writeFile":
      return `Can't set up the user namespace: ${reason}; ${adviceOnMapping(step.contents, errno)}`
    case "writeChildFile":
    case "setUser":
    case "setGroup":
    case "clearGroups":
      if (changesIdentity && errno === EPERM) return `Can't run as another user: ${reason}; only root may`
      return `Can't set up the user namespace: ${reason}; ${adviceOnUserNamespaces(errno)}`
    case "enterNamespace":
      if (userNamespacePath === undefined) break
      return `Can't join the user namespace ${userNamespacePath}: ${reason}${adviceOnJoining(errno)}`
    case "unshare":
      return `Can't create a user namespace: ${reason}; ${adviceOnUserNamespaces(errno)}`
    case "openChildFile":
    case "openChild":
      if (errno === ENOSYS) return "Linux 5.4 or newer is needed"
      break
    case "open":
      return `Can't open ${step.path}: ${reason}`
    case "mount":
      return `Can't keep mounts inside of the new mount namespace: ${reason}`
    case "execute":
      if (!isCommand(step)) return `Can't start ${step.paths[0]}: ${reason}`
      if (errno === ENOENT) return `${commandName}: command not found`
      return `${commandName}: ${errnoSentence(errno)}`
    default:
      return `Can't start (${step.kind}): ${reason}`
  }
  return `Can't enter the namespaces: ${reason}; ${adviceOnUserNamespaces(errno)}`
}

/** @param errno positive */
export function reasonOf(errno: number): string {
  return `${errnoSentence(errno)} (${errnoName(errno)})`
}

function adviceOnCreating(flags: number, errno: number): string {
  const createsUserNamespace = (flags & NEW_USER_NAMESPACE) !== 0
  if (createsUserNamespace || errno !== EPERM) return adviceOnUserNamespaces(errno)
  return "without a new user namespace, this takes CAP_SYS_ADMIN in the user namespace that the command is to be in"
}

/** A clause to append to the reason; empty if there is none. */
export function adviceOnJoining(errno: number): string {
  if (errno !== EPERM && errno !== EACCES) return ""
  return "; only its creator may, from the user namespace in which it was created, or root there"
}

/** user_namespaces(7): "CAP_SETFCAP", since Linux 5.12 */
function adviceOnMapping(contents: Text, errno: number): string {
  if (errno === EPERM && String(contents).startsWith("0 ")) return "user 0 can't be mapped without CAP_SETFCAP"
  return adviceOnUserNamespaces(errno)
}

function adviceOnUserNamespaces(errno: number): string {
  switch (errno) {
    case ENOSPC:
    case EUSERS:
      return "too many user or other namespaces exist, or none are allowed: see the limits in /proc/sys/user/max_*_namespaces"
    case EPERM:
    case EACCES:
      return (
        "this user may not create user namespaces: see the settings kernel.unprivileged_userns_clone and " +
        "kernel.apparmor_restrict_unprivileged_userns, or the seccomp profile of the container"
      )
    case EINVAL:
    case ENOSYS:
      return "the kernel was built without one of the user, PID, mount, network, UTS and IPC namespaces"
    default:
      return "see namespaces(7)"
  }
}
