/**
 * The system calls that a data path makes once it is ready, beside what makes them. What isn't here is refused, counted and reported;
 * what runtimes are known to try, and do without, is refused silently.
 *
 * A list holds what a runtime or a function of `@demiflow/sys` really needs, with as few arguments as it needs. The end-to-end suite
 * says what is missing: a refusal is a warning in the log. `e2e/calls` says what is there in vain.
 */
import { type ArgumentCondition, type CallRule, ProcessControl } from "@demiflow/sys"

const EPERM = 1
const ENOENT = 2
const ENOSYS = 38

const always = (...calls: string[]): CallRule[] => calls.map((call) => ({ call }))
const where = (argument: number, ...oneOf: number[]): ArgumentCondition => ({ argument, oneOf })
const refuse = (errno: number, ...calls: string[]): CallRule[] => calls.map((call) => ({ call, refuse: errno }))

/** Of every packet, and so first: the kernel compares one after another. */
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
/** F_GETFL, F_SETFL and F_SETPIPE_SZ of fcntl(2). F_DUPFD… stay out: a descriptor has one number. */
const FileCommand = { getFlags: 3, setFlags: 4, setPipeSize: 1031 } as const
const O_ASYNC = 0x2000

function socketOf(kind: number, ...protocols: number[]): CallRule {
  const ofKind = { argument: 1, mask: SocketKind.mask, oneOf: [kind] }
  return { call: "socket", when: [[where(0, Family.ipv4, Family.ipv6), ofKind, where(2, ...protocols)]] }
}

const TCP_AND_UDP = [socketOf(SocketKind.stream, Protocol.tcp), socketOf(SocketKind.datagram, Protocol.udp)]

/** Sockets and what is done with them: `packages/sys/native`. */
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

/** What is local at both ends, through pipes; and ports that are opened when somebody listens to them at the other end. */
const LOCAL_PATH: readonly CallRule[] = [
  ...always("splice", "listen"),
  { call: "ioctl", when: [[where(1, QueueLength.unread)]] },
  { call: "fcntl", when: [[where(1, FileCommand.setPipeSize)]] },
]

/** Files that are open: log, capture and what is watched; and standard error, which a runtime that ends leaves as it was. */
const OPEN_FILES: readonly CallRule[] = [
  ...always("fstat", "ftruncate", "pread64", "pwrite64", "writev"),
  { call: "fcntl", when: [[where(1, FileCommand.getFlags)]] },
  // O_ASYNC would have the kernel send signals to others: of a terminal, to its foreground.
  { call: "fcntl", when: [[where(1, FileCommand.setFlags), { argument: 2, mask: O_ASYNC, oneOf: [0] }]] },
]

/** What V8 names its memory by, so that it can be told apart in /proc: PR_SET_VMA of prctl(2). */
const PR_SET_VMA = 0x53564d41

/** <fcntl.h> */
const AT_EMPTY_PATH = 0x1000

/** CLONE_THREAD, and with it all flags that make namespaces, of clone(2). */
const CloneFlag = { thread: 0x10000, threadOrNamespace: 0x7e030080 } as const

/** The runtime's own: memory, threads, time, and its end. */
const RUNTIME: readonly CallRule[] = [
  ...always("futex", "madvise", "mmap", "munmap", "mprotect", "mremap", "brk"),
  ...always("clock_gettime", "clock_nanosleep", "gettimeofday", "getpid", "gettid", "sched_yield"),
  ...always("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
  ...always("exit", "exit_group"),
  { call: "prctl", when: [[where(0, PR_SET_VMA)]] },
  // Threads, but no processes. Of clone3() a filter can't see the flags: without it, the C library takes clone().
  { call: "clone", when: [[{ argument: 0, mask: CloneFlag.threadOrNamespace, oneOf: [CloneFlag.thread] }]] },
  ...refuse(ENOSYS, "clone3"),
  // The C library makes these with all signals blocked: a refusal by a signal would end the process.
  ...refuse(EPERM, "clone", "fork", "vfork"),
  ...always("set_robust_list", "rseq"),
  // A signal that comes while the runtime starts has it start a thread for its debugger, with an event loop, which then opens nothing.
  ...always("epoll_create1", "eventfd2", "pipe2"),
  ...refuse(EPERM, "prlimit64"),
  // Mutexes of V8 ask how their thread is scheduled, and do without an answer.
  ...always("sched_getaffinity", "sched_getparam", "sched_getscheduler"),
  // By newer C libraries, fstat() is one of these, with a descriptor and no path.
  { call: "newfstatat", when: [[{ argument: 3, mask: AT_EMPTY_PATH, oneOf: [AT_EMPTY_PATH] }]] },
  { call: "statx", when: [[{ argument: 2, mask: AT_EMPTY_PATH, oneOf: [AT_EMPTY_PATH] }]] },
  // V8 asks how large its memory is.
  ...refuse(ENOENT, "openat"),
]

/** @param process our process number: abort() of the C library */
function signalsToOurselves(process: number): CallRule[] {
  return [{ call: "tgkill", when: [[where(0, process)]] }]
}

/** <fcntl.h> */
const AT_SYMLINK_NOFOLLOW = 0x100

/** Looking at and removing a file of a folder that is open: no folder, and nothing that a symbolic link leads to. */
function removal(folders: readonly number[]): CallRule[] {
  if (folders.length === 0) return []
  return [
    { call: "newfstatat", when: [[where(0, ...folders), where(3, AT_SYMLINK_NOFOLLOW)]] },
    { call: "unlinkat", when: [[where(0, ...folders), where(2, 0)]] },
  ]
}

/**
 * What passt's data path needs.
 *
 * @param process its process number
 * @param folders descriptors of the folders in which a file is removed in the end: see `wallSteps` for where they lead
 */
export function passtCalls(process: number, folders: readonly number[]): CallRule[] {
  return [
    ...PACKETS,
    ...SOCKETS,
    ...OPEN_FILES,
    ...removal(folders),
    ...RUNTIME,
    ...signalsToOurselves(process),
    // Of a hypervisor whose connection the caller hands down, it is asked whether there is one.
    ...always("getpeername"),
    // In the foreground, by the signal that ends it: a shell then ends the loop around it as well.
    { call: "kill", when: [[where(0, process)]] },
  ]
}

/** Before the runtime is executed: it would keep a ring of io_uring, which no filter sees. */
export const BEFORE_RUNTIME: readonly CallRule[] = refuse(ENOSYS, "io_uring_setup")

/**
 * What pasta's data path needs.
 *
 * @param process its process number
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

/**
 * What the helper in the namespace needs once it is sealed: sockets, and whether a path still leads to the namespace.
 *
 * @param watchesPath true if it is asked for that
 */
export function namespaceHelperCalls(watchesPath: boolean): CallRule[] {
  return [
    ...TCP_AND_UDP,
    ...always("recvmsg", "sendmsg", "bind", "close", "exit_group", "rt_sigreturn", "restart_syscall"),
    { call: "prctl", when: [[where(0, ProcessControl.setDumpable), where(1, 0)]] },
    ...(watchesPath ? always("statx") : []),
  ]
}
