import { constants } from "node:os"
import { errnoName, errnoSentence, type StepFailure } from "@demiflow/sys"

/** What to tell the user: one line, without the program's name. */
export interface Complaint {
  readonly text: string
  /** True if it isn't the end. */
  readonly isWarning: boolean
  /** Status to exit with, if it is. */
  readonly status: number
}

const STATUS_FAILED = 1
/** What shells answer. */
const STATUS_NOT_EXECUTABLE = 126
const STATUS_NOT_FOUND = 127

const { EPERM, EACCES, ENOSPC, ENOENT, EINVAL, ENOSYS } = constants.errno
/** Nested too deeply, in kernels before 4.9. */
const EUSERS = 87

/** Puts a step that failed in words that say what to do. */
export function explainStepFailure({ step, errno }: StepFailure, commandName: string): Complaint {
  const reason = `${errnoSentence(errno)} (${errnoName(errno)})`
  const fatal = (text: string, status = STATUS_FAILED): Complaint => ({ text, isWarning: false, status })
  const warning = (text: string): Complaint => ({ text, isWarning: true, status: STATUS_FAILED })
  switch (step.kind) {
    case "spawn":
      return fatal(`Can't create the namespaces: ${reason}; ${adviceOnNamespaces(errno)}`)
    case "writeChildFile":
    case "setUser":
    case "setGroup":
      return fatal(`Can't set up the user namespace: ${reason}; ${adviceOnNamespaces(errno)}`)
    case "enterNamespace":
    case "openChildFile":
    case "openChild":
      if (errno === ENOSYS) return fatal("Linux 5.4 or newer is needed")
      return fatal(`Can't enter the namespaces: ${reason}; ${adviceOnNamespaces(errno)}`)
    case "mount":
      return warning(`Can't mount /proc in the new PID namespace: ${reason}; programs will see the processes outside`)
    case "writeFile":
      return warning(`Can't set ping_group_range in the namespace: ${reason}; ping may not work without privileges`)
    case "execute":
      if (errno === ENOENT) return fatal(`${commandName}: command not found`, STATUS_NOT_FOUND)
      return fatal(`${commandName}: ${errnoSentence(errno)}`, STATUS_NOT_EXECUTABLE)
    default:
      if (step.mayFail) return warning(`Can't ${step.kind}: ${reason}`)
      return fatal(`Can't start (${step.kind}): ${reason}`)
  }
}

function adviceOnNamespaces(errno: number): string {
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
