/**
 * The system calls that a data path makes once it is ready, with the code that needs them. All others are refused,
 * counted and reported. Those that runtimes are known to try, and do without, are refused silently.
 *
 * A list contains what a runtime or a function of `@demiflow/sys` really needs, with as few arguments as possible. The
 * end-to-end suite finds missing calls: a refusal is a warning in the log. `e2e/calls` finds superfluous ones.
 */
import { type ArgumentCondition, type CallRule, ProcessControl } from "@demiflow/sys"

const EPERM = 1
const ENOENT = 2
const ENOSYS = 38

const always = (...calls: string[]): CallRule[] => calls.map((call) => ({ call }))
const where = (argument: number, ...oneOf: number[]): ArgumentCondition => ({ argument, oneOf })
const refuse = (errno: number, ...calls: string[]): CallRule[] => calls.map((call) => ({ call, refuse: errno }))

/** Made for every packet, and so first: the kernel compares one after another. */
const PACKETS = always(
  "read",
  "write",
  "epoll_wait",
  "epoll_pwait",
  "epoll_pwait2",
  "recvmsg",
  "sendmsg",
  "recvmmsg",
  "sendmmsg",
  "recvfrom",
)

/** <linux/socket.h> */
const Family = { ipv4: 2, ipv6: 10 } as const
const SocketKind = { mask: 0xf, stream: 1, datagram: 2 } as const
const Protocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const
/** SIOCINQ and SIOCOUTQ of <linux/sockios.h>. */
const QueueLength = { unread: 0x541b, unacknowledged: 0x5411 } as const
/**
 * F_GETFL, F_SETFL and F_SETPIPE_SZ of fcntl(2). F_DUPFD… is left out: a data path needs no second number for a
 * descriptor.
 */
const FileCommand = { getFlags: 3, setFlags: 4, setPipeSize: 1031 } as const
const O_ASYNC = 0x2000

function socketOf(kind: number, ...protocols: number[]): CallRule {
  const ofKind = { argument: 1, mask: SocketKind.mask, oneOf: [kind] }
  return { call: "socket", when: [[where(0, Family.ipv4, Family.ipv6), ofKind, where(2, ...protocols)]] }
}

const TCP_AND_UDP = [socketOf(SocketKind.stream, Protocol.tcp), socketOf(SocketKind.datagram, Protocol.udp)]

/** Sockets and operations on them: `packages/sys/native`. */
const SOCKETS: readonly CallRule[] = [
  ...TCP_AND_UDP,
  // Echo requests.
  socketOf(SocketKind.datagram, Protocol.icmp, Protocol.icmpv6),
  ...always(
    "accept4",
    "bind",
    "close",
    "connect",
    "epoll_ctl",
    "getrandom",
    "getsockname",
    "getsockopt",
    "setsockopt",
    "shutdown",
  ),
  { call: "ioctl", when: [[where(1, QueueLength.unacknowledged)]] },
]

/**
 * Flows that are local at both ends, through pipes; and ports that are opened when a program listens at the other end.
 */
const LOCAL_PATH: readonly CallRule[] = [
  ...always("splice", "listen"),
  { call: "ioctl", when: [[where(1, QueueLength.unread)]] },
  { call: "fcntl", when: [[where(1, FileCommand.setPipeSize)]] },
]

/** Writing to standard error, and restoring its flags when the runtime ends. */
const STANDARD_STREAMS: readonly CallRule[] = [
  ...always("fstat", "writev"),
  { call: "fcntl", when: [[where(1, FileCommand.getFlags)]] },
  // O_ASYNC would make the kernel send signals to other processes: for a terminal, to its foreground.
  { call: "fcntl", when: [[where(1, FileCommand.setFlags), { argument: 2, mask: O_ASYNC, oneOf: [0] }]] },
]

/** Open files: log, capture and what is watched; and standard error. */
const OPEN_FILES: readonly CallRule[] = [...STANDARD_STREAMS, ...always("ftruncate", "pread64", "pwrite64")]

/** V8 names its memory with it, so that /proc shows what it is for: PR_SET_VMA of prctl(2). */
const PR_SET_VMA = 0x53564d41

/** <fcntl.h> */
const AT_EMPTY_PATH = 0x1000

/** CLONE_THREAD of clone(2), alone and with all flags that create namespaces. */
const CloneFlag = { thread: 0x10000, threadOrNamespace: 0x7e030080 } as const

/** <sys/mman.h> */
const PROT_EXEC = 0x4
const MapFlag = { kind: 0xf, shared: 0x1, anonymous: 0x20 } as const

/** Memory of the process's own: nothing is mapped from a file. */
const OWN_MEMORY: CallRule = {
  call: "mmap",
  when: [[{ argument: 3, mask: MapFlag.anonymous, oneOf: [MapFlag.anonymous] }]],
}

/** Memory that a hypervisor shares, for vhost-user: `packages/sys/native/rings`. */
const SHARED_MEMORY: CallRule = {
  call: "mmap",
  when: [
    [
      { argument: 2, mask: PROT_EXEC, oneOf: [0] },
      { argument: 3, mask: MapFlag.kind, oneOf: [MapFlag.shared] },
    ],
  ],
}

/** Calls of the runtime itself: memory, threads, time, and its end. */
const RUNTIME: readonly CallRule[] = [
  OWN_MEMORY,
  ...always("futex", "madvise", "munmap", "mprotect", "mremap", "brk"),
  ...always("clock_gettime", "clock_nanosleep", "gettimeofday", "getpid", "gettid", "sched_yield"),
  ...always("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
  ...always("exit", "exit_group"),
  { call: "prctl", when: [[where(0, PR_SET_VMA)]] },
  // Allows threads, but no processes. A filter can't see the flags of clone3(): without that call, the C library uses
  // clone().
  { call: "clone", when: [[{ argument: 0, mask: CloneFlag.threadOrNamespace, oneOf: [CloneFlag.thread] }]] },
  ...refuse(ENOSYS, "clone3"),
  // The C library makes these calls with all signals blocked: a refusal by signal would end the process.
  ...refuse(EPERM, "clone", "fork", "vfork"),
  ...always("set_robust_list", "rseq"),
  // A signal that arrives while the runtime starts makes it start a thread for its debugger, with an event loop, which
  // then opens nothing.
  ...always("epoll_create1", "eventfd2", "pipe2"),
  ...refuse(EPERM, "prlimit64"),
  // V8's mutexes query how their thread is scheduled, and work without an answer.
  ...always("sched_getaffinity", "sched_getparam", "sched_getscheduler"),
  // In newer C libraries, fstat() is one of these, with a descriptor and no path.
  { call: "newfstatat", when: [[{ argument: 3, mask: AT_EMPTY_PATH, oneOf: [AT_EMPTY_PATH] }]] },
  { call: "statx", when: [[{ argument: 2, mask: AT_EMPTY_PATH, oneOf: [AT_EMPTY_PATH] }]] },
  // V8 reads how large its memory is.
  ...refuse(ENOENT, "openat"),
]

/** @param process this process's id: for abort() of the C library */
function signalsToOurselves(process: number): CallRule[] {
  return [{ call: "tgkill", when: [[where(0, process)]] }]
}

/** <fcntl.h> */
const AT_SYMLINK_NOFOLLOW = 0x100

/** Inspecting and removing a file of an open folder: not subfolders, and nothing that a symbolic link leads to. */
function removal(folders: readonly number[]): CallRule[] {
  if (folders.length === 0) return []
  return [
    { call: "newfstatat", when: [[where(0, ...folders), where(3, AT_SYMLINK_NOFOLLOW)]] },
    { call: "unlinkat", when: [[where(0, ...folders), where(2, 0)]] },
  ]
}

/** What makes passt's data path need more calls. */
export interface PasstFeatures {
  /** True if hypervisors share memory with it. */
  readonly isVhostUser?: boolean
  /** True if it opens forwarded ports while it runs. */
  readonly changesPorts?: boolean
}

/**
 * The calls that passt's data path needs.
 *
 * @param process its process id
 * @param folders descriptors of the folders from which a file is removed in the end: see `wallSteps` for where they
 * lead
 */
export function passtCalls(
  process: number,
  folders: readonly number[],
  { isVhostUser = false, changesPorts = false }: PasstFeatures = {},
): CallRule[] {
  return [
    ...PACKETS,
    ...(isVhostUser ? [SHARED_MEMORY] : []),
    ...(changesPorts ? always("listen") : []),
    ...SOCKETS,
    ...OPEN_FILES,
    ...removal(folders),
    ...RUNTIME,
    ...signalsToOurselves(process),
    // Checks whether a connection that the caller has passed leads to a hypervisor.
    ...always("getpeername"),
    // In the foreground, the process ends by the signal that it received: a shell then ends the surrounding loop as
    // well.
    { call: "kill", when: [[where(0, process)]] },
  ]
}

/** Applied before the runtime is executed: the runtime would keep an io_uring, which no filter sees. */
export const BEFORE_RUNTIME: readonly CallRule[] = refuse(ENOSYS, "io_uring_setup")

/**
 * The calls that pasta's data path needs.
 *
 * @param process its process id
 * @param watchesPath true if it watches whether a namespace is still at its path
 */
export function pastaCalls(process: number, watchesPath: boolean): CallRule[] {
  return [
    ...PACKETS,
    ...LOCAL_PATH,
    ...SOCKETS,
    ...OPEN_FILES,
    // For the end of the command.
    ...always("wait4"),
    ...(watchesPath ? always("inotify_rm_watch") : []),
    ...RUNTIME,
    ...signalsToOurselves(process),
  ]
}

/** TCGETS, TCSETS, and their replacements in newer C libraries; TIOCGPGRP and TIOCSPGRP: ioctl_tty(2). */
const TerminalRequest = {
  mode: [0x5401, 0x5402, 0x802c542a | 0, 0x402c542b],
  foreground: [0x540f, 0x5410],
} as const

/**
 * The calls that a waiting launcher needs: it passes signals on, reports, and leaves the terminal as it was.
 *
 * @param process its process id
 * @param signalled id of the process to which it passes signals
 * @param hasRing true if its runtime has an io_uring, and would end without
 */
export function launcherCalls(process: number, signalled: number, hasRing: boolean): CallRule[] {
  return [
    ...always("read", "write", "close", "epoll_pwait", "epoll_ctl", "wait4"),
    ...(hasRing ? always("io_uring_enter") : []),
    ...STANDARD_STREAMS,
    { call: "ioctl", when: [[where(1, ...TerminalRequest.mode, ...TerminalRequest.foreground)]] },
    ...always("getpgrp", "getpgid"),
    // Signal 0 checks whether the terminal's process group still exists.
    { call: "kill", when: [[where(0, signalled, process)], [where(1, 0)]] },
    ...RUNTIME,
    ...signalsToOurselves(process),
  ]
}

/** The calls that a command's init needs: it waits, reaps, and passes signals on. */
export const INIT_CALLS: readonly CallRule[] = always("rt_sigtimedwait", "wait4", "kill", "exit_group")

/**
 * The calls that the helper in the namespace needs once it is sealed: for sockets, and for checking whether a path
 * still leads to the namespace.
 *
 * @param watchesPath true if it checks a path
 * @param opensSockets true if it opens sockets for a local path
 */
export function namespaceHelperCalls(watchesPath: boolean, opensSockets: boolean): CallRule[] {
  return [
    ...(opensSockets ? [...TCP_AND_UDP, ...always("bind")] : []),
    ...always("recvmsg", "sendmsg", "close", "exit_group", "rt_sigreturn", "restart_syscall"),
    { call: "prctl", when: [[where(0, ProcessControl.setDumpable), where(1, 0)]] },
    ...(watchesPath ? always("statx") : []),
  ]
}
