/**
 * What a process does before a runtime exists in it: system calls as a list, carried out by a forked child, or by a program that becomes
 * the runtime.
 *
 * See `native/spawn.c` for why, and `native/steps-run.c` for what a child may do.
 */

/** Text for the kernel; bytes where it may be no valid UTF-8. Neither may contain a zero byte. */
export type Text = string | Uint8Array

/** One step. Constants are those of Linux: {@link NamespaceFlag}, {@link MountFlag}, {@link ProcessControl}. */
export type Step =
  /** Opens an existing file and writes everything at once. */
  | { readonly kind: "writeFile"; readonly path: Text; readonly contents: Text; readonly mayFail?: boolean }
  /** The same for a file below `/proc/CHILD/` of the child started last. */
  | { readonly kind: "writeChildFile"; readonly file: Text; readonly contents: Text; readonly mayFail?: boolean }
  /** Changes the real, effective and saved user. */
  | { readonly kind: "setUser"; readonly user: number; readonly mayFail?: boolean }
  /** Changes the real, effective and saved group. */
  | { readonly kind: "setGroup"; readonly group: number; readonly mayFail?: boolean }
  /** Drops the supplementary groups. */
  | { readonly kind: "clearGroups"; readonly mayFail?: boolean }
  /**
   * Has a program that is executed by another user than 0 keep the capabilities that are permitted now, all of them
   * effective. Changing the user undoes it, and so does a program with capabilities of its own: capabilities(7), "Ambient".
   */
  | { readonly kind: "keepCapabilities"; readonly mayFail?: boolean }
  /**
   * Limits the capabilities of this process, and those that an executed program can get, to those of a list: capabilities(7). None is
   * ambient or inheritable afterwards.
   */
  | { readonly kind: "limitCapabilities"; readonly kept: readonly number[]; readonly mayFail?: boolean }
  /** Makes the mount at a path the root of this mount namespace, for all processes in it: nothing else can be reached then. */
  | { readonly kind: "pivotRoot"; readonly path: Text; readonly mayFail?: boolean }
  /**
   * Has a filter decide about all system calls from now on: instructions of BPF, see {@link CallFilter}. It takes
   * `noNewPrivileges` of {@link ProcessControl} before. Flags are `SECCOMP_FILTER_FLAG_…` of seccomp(2).
   */
  | { readonly kind: "filterCalls"; readonly filter: Uint8Array; readonly flags: number; readonly mayFail?: boolean }
  /**
   * Has this thread, and what it starts, do without what Landlock names: `LANDLOCK_ACCESS_FS_…`, `LANDLOCK_SCOPE_…`. It takes
   * `noNewPrivileges` of {@link ProcessControl} before. Flags are `LANDLOCK_RESTRICT_SELF_…`.
   */
  | {
      readonly kind: "restrict"
      readonly files: number
      readonly scopes: number
      readonly flags: number
      /** A folder that is open, below which something stays allowed; undefined: none. */
      readonly folder: number | undefined
      /** What that is. */
      readonly allowed: number
      readonly mayFail?: boolean
    }
  /** setns(2) */
  | { readonly kind: "enterNamespace"; readonly descriptor: number; readonly type: number; readonly mayFail?: boolean }
  /** unshare(2) */
  | { readonly kind: "unshare"; readonly flags: number; readonly mayFail?: boolean }
  /** mount(2), without options of the file system's own. */
  | {
      readonly kind: "mount"
      readonly source: Text
      readonly target: Text
      readonly type: Text
      readonly flags: number
      readonly mayFail?: boolean
    }
  /**
   * unshare(2) of a user namespace, and of others whose flags are given. User and group of this process are in there who they were, and
   * nobody else is.
   */
  | { readonly kind: "unshareUser"; readonly flags: number; readonly mayFail?: boolean }
  /**
   * Waits for a path, with a zero byte behind it, and mounts the folder there on itself; an empty one: nothing. The process ends silently
   * if the other end is closed instead.
   */
  | { readonly kind: "mountReceived"; readonly descriptor: number; readonly mayFail?: boolean }
  /** prctl(2) with one value. */
  | { readonly kind: "control"; readonly option: number; readonly value: number; readonly mayFail?: boolean }
  /** Sets the soft limit of a resource, see setrlimit(2). */
  | { readonly kind: "setLimit"; readonly resource: number; readonly soft: number; readonly mayFail?: boolean }
  /** setsid(2) */
  | { readonly kind: "newSession"; readonly mayFail?: boolean }
  /** Has the kernel send a signal once the process that started this one ends; ends this one if it has ended already. */
  | { readonly kind: "dieWithParent"; readonly signal: number; readonly mayFail?: boolean }
  /** Gives a copy of the descriptor that number, and keeps it open on exec. */
  | { readonly kind: "duplicate"; readonly descriptor: number; readonly number: number; readonly mayFail?: boolean }
  /** Opens a file as that descriptor, and keeps it open on exec. */
  | {
      readonly kind: "open"
      readonly path: Text
      readonly flags: number
      readonly number: number
      readonly mayFail?: boolean
    }
  /** Opens a file below `/proc/CHILD/` of the child started last as that descriptor. */
  | {
      readonly kind: "openChildFile"
      readonly file: Text
      readonly flags: number
      readonly number: number
      readonly mayFail?: boolean
    }
  /** Opens the child started last as that descriptor, a pidfd. */
  | { readonly kind: "openChild"; readonly number: number; readonly mayFail?: boolean }
  | { readonly kind: "close"; readonly descriptor: number; readonly mayFail?: boolean }
  /** Takes all variables out of the environment but those that begin so, with their `=` perhaps. */
  | { readonly kind: "keepVariables"; readonly beginnings: readonly string[]; readonly mayFail?: boolean }
  /** Puts options before all arguments of the command that this process is about to become, if its executable is that one. */
  | {
      readonly kind: "addOptions"
      readonly executable: ExecutableIdentity
      readonly options: readonly string[]
      readonly mayFail?: boolean
    }
  /** Sets a variable of the environment, `NAME=VALUE`. */
  | { readonly kind: "setVariable"; readonly variable: Text; readonly mayFail?: boolean }
  /** Has all descriptors from that one on closed on exec. */
  | { readonly kind: "closeOnExecFrom"; readonly first: number; readonly mayFail?: boolean }
  /** Waits for a byte; the process ends silently if the other end is closed instead. */
  | { readonly kind: "waitByte"; readonly descriptor: number; readonly mayFail?: boolean }
  | { readonly kind: "putByte"; readonly descriptor: number; readonly mayFail?: boolean }
  /** Starts a child, in new namespaces if flags are given, that carries out its own steps. Flags are of {@link NamespaceFlag} and {@link SpawnFlag}. */
  | {
      readonly kind: "spawn"
      readonly flags: number
      readonly steps: readonly Step[]
      readonly mayFail?: boolean
    }
  /** Waits for the end of the child started last; this process ends silently if the child failed. */
  | { readonly kind: "awaitChild"; readonly mayFail?: boolean }
  /**
   * Carries steps out one after another; the first that fails is reported, and ends the list, but not the process. None of the steps
   * may be a list to try itself.
   */
  | { readonly kind: "try"; readonly steps: readonly Step[]; readonly mayFail?: boolean }
  /**
   * Starts a child that carries out its own steps in a session of its own, with a way to this process as its descriptor 0: packets, to
   * be read and written. Nothing else is open there. This process's end stays open on exec: the variable has its number, and
   * behind a space that of the child. Only for
   * `encodeStepsFile`.
   */
  | {
      readonly kind: "spawnHelper"
      readonly variable: string
      readonly steps: readonly Step[]
      readonly mayFail?: boolean
    }
  /**
   * Carries steps out if all that is given holds, and if no such step before has carried out its own: {@link StepCondition}. None of the
   * steps may be one of this kind itself.
   */
  | {
      readonly kind: "onlyIf"
      readonly condition: StepCondition
      readonly steps: readonly Step[]
      readonly mayFail?: boolean
    }
  /**
   * Starts a child that carries out the steps of a command, and becomes its init: closes all descriptors, reaps orphans,
   * passes signals on (but not those of the terminal, which has sent them to the command already), and ends when the
   * command ends, with its status, 128 + n after signal n. No step behind it is carried out.
   */
  | { readonly kind: "init"; readonly steps: readonly Step[]; readonly mayFail?: boolean }
  /**
   * Executes the first of the paths that can be. Signals are unblocked and have their default actions. The variables
   * are those of the forking process if none are given. Status 127 if nothing is found, 126 if it can't be executed.
   */
  | {
      readonly kind: "execute"
      readonly paths: readonly Text[]
      readonly arguments: readonly Text[]
      readonly variables?: readonly Text[]
      readonly mayFail?: boolean
    }

/** By what an executable is known again. */
export interface ExecutableIdentity {
  /** In bytes. */
  readonly size: number
  /** When it was last changed, in whole seconds since the epoch. */
  readonly changedAt: number
}

/** What a list can ask that is written before it is known who carries it out. */
export interface StepCondition {
  /** True: this process is user 0, where everybody has their usual number. */
  readonly isRoot?: boolean
  /** A capability that this process has in effect. */
  readonly capability?: number
  /** An argument of the command that this process is about to become begins so. */
  readonly argument?: string
}

/** CLONE_NEW… of clone(2), unshare(2) and setns(2). */
export const NamespaceFlag = {
  mount: 0x00020000,
  cgroup: 0x02000000,
  uts: 0x04000000,
  ipc: 0x08000000,
  user: 0x10000000,
  pid: 0x20000000,
  network: 0x40000000,
} as const

/** CLONE_… of clone(2). */
export const SpawnFlag = {
  /** What the child opens is open in its parent, under the same number. */
  sharedDescriptors: 0x400,
  /** The new process is a child of this one's parent. */
  sibling: 0x8000,
} as const

/** MS_… of mount(2). */
export const MountFlag = {
  readOnly: 1,
  noSetUser: 2,
  noDevices: 4,
  noExecute: 8,
  bind: 0x1000,
  recursive: 0x4000,
  private: 0x40000,
} as const

/** PR_… of prctl(2). */
export const ProcessControl = { setDumpable: 4, noNewPrivileges: 38 } as const

/** SECCOMP_FILTER_FLAG_… of seccomp(2). */
export const FilterFlag = { allThreads: 1 } as const

/** RLIMIT_… of setrlimit(2). */
export const ResourceLimit = { core: 4, openFiles: 7 } as const
