/**
 * What a process does before a runtime exists in it: a list of system calls, carried out by a forked child or by a
 * program that becomes the runtime.
 *
 * `native/spawn.c` explains why, and `native/steps-run.c` what a child may do.
 */

/** Text for the kernel; bytes where it may not be valid UTF-8. Neither may contain a zero byte. */
export type Text = string | Uint8Array

/** One step. Constants are those of Linux: {@link NamespaceFlag}, {@link MountFlag}, {@link ProcessControl}. */
export type Step =
  /** Opens an existing file and writes the contents with one call. */
  | { readonly kind: "writeFile"; readonly path: Text; readonly contents: Text; readonly mayFail?: boolean }
  /** As `writeFile`, for a file below `/proc/CHILD/` of the child started last. */
  | { readonly kind: "writeChildFile"; readonly file: Text; readonly contents: Text; readonly mayFail?: boolean }
  /** Changes the real, effective and saved user. */
  | { readonly kind: "setUser"; readonly user: number; readonly mayFail?: boolean }
  /** Changes the real, effective and saved group. */
  | { readonly kind: "setGroup"; readonly group: number; readonly mayFail?: boolean }
  /** Drops the supplementary groups. */
  | { readonly kind: "clearGroups"; readonly mayFail?: boolean }
  /**
   * Makes the capabilities that are now permitted, all of them effective, survive the execution of a program by a user
   * other than 0. Changing the user undoes it, and so does a program with capabilities of its own: capabilities(7),
   * "Ambient".
   */
  | { readonly kind: "keepCapabilities"; readonly mayFail?: boolean }
  /**
   * Limits the capabilities of this process, and those that an executed program can acquire, to a list:
   * capabilities(7). None is ambient or inheritable afterwards.
   */
  | { readonly kind: "limitCapabilities"; readonly kept: readonly number[]; readonly mayFail?: boolean }
  /**
   * Mounts the root once more on top of itself if it may be an initramfs, which `pivotRoot` can't leave. This affects
   * this process and those that it starts. The path is of a folder that serves as a temporary mount point. The process
   * must have a mount namespace of its own.
   */
  | { readonly kind: "coverInitramfs"; readonly path: Text; readonly mayFail?: boolean }
  /**
   * Makes the mount at a path the root of this mount namespace, for all processes in it: nothing else is reachable
   * afterwards.
   */
  | { readonly kind: "pivotRoot"; readonly path: Text; readonly mayFail?: boolean }
  /**
   * Installs a filter for all further system calls: BPF instructions, see `encodeFilter`. Requires
   * `noNewPrivileges` of {@link ProcessControl} before. Flags are `SECCOMP_FILTER_FLAG_…` of seccomp(2).
   */
  | { readonly kind: "filterCalls"; readonly filter: Uint8Array; readonly flags: number; readonly mayFail?: boolean }
  /**
   * Forbids this thread, and the processes that it starts, what the Landlock masks name: `LANDLOCK_ACCESS_FS_…`,
   * `LANDLOCK_SCOPE_…`. Requires `noNewPrivileges` of {@link ProcessControl} before. Flags are
   * `LANDLOCK_RESTRICT_SELF_…`.
   */
  | {
      readonly kind: "restrict"
      readonly files: number
      readonly scopes: number
      readonly flags: number
      /** An open folder below which some access stays allowed; undefined: none. */
      readonly folder: number | undefined
      /** The access that stays allowed below the folder. */
      readonly allowed: number
      readonly mayFail?: boolean
    }
  /** setns(2) */
  | { readonly kind: "enterNamespace"; readonly descriptor: number; readonly type: number; readonly mayFail?: boolean }
  /** unshare(2) */
  | { readonly kind: "unshare"; readonly flags: number; readonly mayFail?: boolean }
  /** mount(2), without options specific to the file system. */
  | {
      readonly kind: "mount"
      readonly source: Text
      readonly target: Text
      readonly type: Text
      readonly flags: number
      readonly mayFail?: boolean
    }
  /**
   * unshare(2) of a user namespace, and of the others named by the flags. The new namespace maps this process's user
   * and group to themselves, and nobody else.
   */
  | { readonly kind: "unshareUser"; readonly flags: number; readonly mayFail?: boolean }
  /**
   * Waits for a path that ends with a zero byte, and mounts the folder there on itself; an empty path mounts nothing.
   * If the other end is closed instead, the process ends silently.
   */
  | { readonly kind: "mountReceived"; readonly descriptor: number; readonly mayFail?: boolean }
  /** prctl(2) with one value. */
  | { readonly kind: "control"; readonly option: number; readonly value: number; readonly mayFail?: boolean }
  /** Sets the soft limit of a resource: setrlimit(2). */
  | { readonly kind: "setLimit"; readonly resource: number; readonly soft: number; readonly mayFail?: boolean }
  /** setsid(2) */
  | { readonly kind: "newSession"; readonly mayFail?: boolean }
  /**
   * Has the kernel send a signal to this process when its parent ends. Ends this process if the parent has ended
   * already.
   */
  | { readonly kind: "dieWithParent"; readonly signal: number; readonly mayFail?: boolean }
  /**
   * Has the kernel send this process a signal once the other end of a pipe has been closed, by any user; ends this
   * process if it has been closed already. For processes that aren't of their parent's user, who can't signal them, and
   * by SIGKILL for those that may be stopped. The init of a PID namespace takes 0, and ends. To be taken when the
   * process is who it stays: what has been opened once, and is open in several processes, has one owner.
   */
  | { readonly kind: "endWithPipe"; readonly descriptor: number; readonly signal: number; readonly mayFail?: boolean }
  /** Duplicates the descriptor to that number, and keeps it open on exec. */
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
  /** Closes all descriptors from that one on, including the one for reports. */
  | { readonly kind: "closeFrom"; readonly first: number; readonly mayFail?: boolean }
  /** Overwrites the environment, so that /proc shows none. The environment must not be used afterwards. */
  | { readonly kind: "wipeVariables"; readonly mayFail?: boolean }
  /**
   * Removes all variables from the environment except those that begin with one of these strings, which may include the
   * `=`.
   */
  | { readonly kind: "keepVariables"; readonly beginnings: readonly string[]; readonly mayFail?: boolean }
  /**
   * Inserts options before all arguments of the command that this process is about to become, if its executable is the
   * given one.
   */
  | {
      readonly kind: "addOptions"
      readonly executable: ExecutableIdentity
      readonly options: readonly string[]
      readonly mayFail?: boolean
    }
  /** Sets a variable of the environment, `NAME=VALUE`. */
  | { readonly kind: "setVariable"; readonly variable: Text; readonly mayFail?: boolean }
  /** Marks all descriptors from that one on close-on-exec. */
  | { readonly kind: "closeOnExecFrom"; readonly first: number; readonly mayFail?: boolean }
  /**
   * Waits for a byte. If the other end is closed instead, the process ends silently; also if the other end of the pipe
   * `life` is closed, from which nothing is read.
   */
  | {
      readonly kind: "waitByte"
      readonly descriptor: number
      readonly life?: number
      readonly mayFail?: boolean
    }
  | { readonly kind: "putByte"; readonly descriptor: number; readonly mayFail?: boolean }
  /**
   * Starts a child that carries out its own steps, in new namespaces if flags say so. Flags are of
   * {@link NamespaceFlag} and {@link SpawnFlag}.
   */
  | {
      readonly kind: "spawn"
      readonly flags: number
      readonly steps: readonly Step[]
      readonly mayFail?: boolean
    }
  /** Waits for the end of the child started last. If the child failed, this process ends silently. */
  | { readonly kind: "awaitChild"; readonly mayFail?: boolean }
  /**
   * Carries out steps one after another. The first that fails is reported, and ends the list but not the process. A
   * list to try can't contain another.
   */
  | { readonly kind: "try"; readonly steps: readonly Step[]; readonly mayFail?: boolean }
  /**
   * Starts a child that carries out its own steps in a session of its own. Its descriptor 0 is a packet socket to this
   * process, to be read and written; it has no other open descriptor. This process's end stays open on exec: the
   * variable holds its number, a space, and the child's process id. Only for `encodeStepsFile`.
   */
  | {
      readonly kind: "spawnHelper"
      readonly variable: string
      readonly steps: readonly Step[]
      readonly mayFail?: boolean
    }
  /**
   * Carries out steps if the condition holds ({@link StepCondition}) and no earlier step of this kind has carried out
   * its own. Such steps can't be nested.
   */
  | {
      readonly kind: "onlyIf"
      readonly condition: StepCondition
      readonly steps: readonly Step[]
      readonly mayFail?: boolean
    }
  /**
   * Becomes the init of the child started last. Reaps orphans and passes signals on, but not those of the terminal,
   * which sends them to the child itself. Ends when the child ends, with its status, or 128 + n after signal n. No
   * later step is carried out.
   */
  | { readonly kind: "init"; readonly mayFail?: boolean }
  /**
   * Executes the first of the paths that is executable. Signals are unblocked and have their default actions. Without
   * variables, the program gets those of the forking process. Status 127 if nothing is found, 126 if the file can't be
   * executed.
   */
  | {
      readonly kind: "execute"
      readonly paths: readonly Text[]
      readonly arguments: readonly Text[]
      readonly variables?: readonly Text[]
      readonly mayFail?: boolean
    }

/** How an executable is recognised. */
export interface ExecutableIdentity {
  /** In bytes. */
  readonly size: number
  /** Time of the last change, in whole seconds since the epoch. */
  readonly changedAt: number
}

/** A condition for a list that is written before it is known which process carries it out. */
export interface StepCondition {
  /** True: this process is user 0 in a user namespace where every user has its usual number. */
  readonly isRoot?: boolean
  /** A capability that this process has in effect. */
  readonly capability?: number
  /** A prefix of one of the arguments of the command that this process is about to become. */
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
  /** The child shares its table of descriptors with its parent: what one opens is open in the other. */
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
