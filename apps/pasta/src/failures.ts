import { constants } from "node:os"
import { errnoName, errnoSentence, type Step, type StepFailure } from "@demiflow/sys"

/** What to tell the user: one line, without the program's name. */
export interface Complaint {
  readonly text: string
  /** True if it isn't the end. */
  readonly isWarning: boolean
  /** Status to exit with, if it is. */
  readonly status: number
}

/** What a step can't know of what it is for. */
export interface StepContext {
  /** What the user called the command. */
  readonly commandName?: string
  /** Path of the user namespace that is joined; undefined: the one that was made for the command. */
  readonly userNamespacePath?: string | undefined
  /** True if the command is to run as somebody else than who we are. */
  readonly changesIdentity?: boolean
}

/** Who may ping without privileges, of a network namespace: icmp(7). */
export const PING_GROUPS = "/proc/sys/net/ipv4/ping_group_range"

const STATUS_FAILED = 1
/** What shells answer. */
const STATUS_NOT_EXECUTABLE = 126
const STATUS_NOT_FOUND = 127

const NEW_USER_NAMESPACE = 0x10000000
const { EPERM, EACCES, ENOSPC, ENOENT, EINVAL, ENOSYS } = constants.errno
/** Nested too deeply, in kernels before 4.9. */
const EUSERS = 87
/** What a tap device answers once its interface is deleted. */
const EBADFD = 77

/** Puts a step that failed in words that say what to do; undefined if nobody has to know. */
export function explainStepFailure({ step, errno }: StepFailure, context: StepContext): Complaint | undefined {
  if (step.mayFail) {
    const text = explainLoss(step, reasonOf(errno))
    return text === undefined ? undefined : { text, isWarning: true, status: STATUS_FAILED }
  }
  return { text: explainEnd(step, errno, context), isWarning: false, status: statusOf(step, errno) }
}

/** Says why there is no tap device any more. */
export function explainLostTap(name: string, errno: number): string {
  if (errno === EBADFD) return `The interface ${name} is gone: it was deleted in the namespace`
  return `Can't read from the interface ${name} any more: ${reasonOf(errno)}`
}

function statusOf(step: Step, errno: number): number {
  if (!isCommand(step)) return STATUS_FAILED
  return errno === ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE
}

/** The runtime is given its variables, the command inherits them. */
function isCommand(step: Step): boolean {
  return step.kind === "execute" && step.variables === undefined
}

/** What the command can do without. What the data path does without, `raiseWall` reports. */
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
    case "writeChildFile":
    case "setUser":
    case "setGroup":
    case "clearGroups":
      if (changesIdentity && errno === EPERM) return `Can't run as somebody else: ${reason}; only root may`
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
  return "without a user namespace of its own, it takes CAP_SYS_ADMIN in the one that the command is to be in"
}

/** A clause behind the reason; empty if there is none. */
export function adviceOnJoining(errno: number): string {
  if (errno !== EPERM && errno !== EACCES) return ""
  return "; only who created it may, from the user namespace that it was created in, or root there"
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
