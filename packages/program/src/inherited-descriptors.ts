/**
 * Descriptors that the caller has left open without any use for them. While this process holds them, the reader of a
 * pipe never sees its end, and a file system can't be unmounted.
 *
 * By the time any of our code runs, the runtime has opened descriptors of its own, in the gaps that the caller left,
 * and they can't be identified. So none is closed here. If there is one that can't be the runtime's, this process
 * executes the same command once more, and the kernel closes everything else on exec: what is open afterwards is the
 * runtime's.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { Arena } from "@demiflow/core"
import { attachArena, lastArguments, roomForArguments, runStepsHere, type Step, type Text } from "@demiflow/sys"

const FOLDER = "/proc/self/fd"
const NOTES = "/proc/self/fdinfo"
const FIRST_UNSTANDARD = 3
const ARENA_BYTES = 1 << 20
/** Set for the second execution: everything that is open then stays open. */
const VARIABLE = "DEMIFLOW_CLOSED_INHERITED"
/** A path by which a descriptor is passed: `/dev/fd/63`, `/proc/self/fd/5`. */
const DESCRIPTOR_PATH = /^(?:-[^/]*)?(?:\/dev\/fd|\/proc\/(?:self|thread-self|\d+)\/fd)\/(\d+)$/
/** The descriptors of a runtime's event loops, besides pipes. */
const OF_RUNTIME = new Set(["anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[io_uring]", "/dev/null"])
const POLL = "anon_inode:[eventpoll]"
/**
 * Number of a runtime's pipes that block: the lock of its signal handlers. The pipe of each event loop is non-blocking.
 */
const BLOCKING_PIPES = 1
const O_NONBLOCK = 0o4000

/** An open descriptor. */
export interface OpenDescriptor {
  readonly number: number
  /** The target of its link: `pipe:[7]`, a path. */
  readonly what: string
  /** False for everything except pipes. */
  readonly isNonBlocking: boolean
}

/**
 * Closes descriptors that the caller has left open, except standard ones, by executing this command again if there are
 * any. To be called before anything is opened. Throws a `SystemError`.
 *
 * @param kept descriptors that stay open: see {@link namedDescriptors}
 */
export function closeInherited(kept: readonly number[]): void {
  if (process.env[VARIABLE] !== undefined) {
    delete process.env[VARIABLE]
    return
  }
  if (!hasForeign(openDescriptors().filter(({ number }) => !kept.includes(number)))) return
  process.env[VARIABLE] = "1"
  executeAgain(kept, [])
}

/**
 * Executes this command once more, in this process: doesn't return. Throws a `SystemError`.
 *
 * @param kept descriptors that stay open, besides the standard ones
 * @param before a program that executes the runtime, followed by its own arguments, to put before the command; empty:
 * none
 * @param first steps to take before
 */
export function executeAgain(kept: readonly number[], before: readonly string[], first: readonly Step[] = []): void {
  const arena = new Arena(ARENA_BYTES + roomForArguments(process.argv))
  const command = [...before, process.execPath]
  const [, ...words] = ownCommandLine()
  const steps: Step[] = [
    ...first,
    // Keeps capabilities that the runtime's file confers, which the program before it doesn't have.
    ...(before.length === 0 ? [] : [{ kind: "keepCapabilities", mayFail: true } as const]),
    { kind: "closeOnExecFrom", first: FIRST_UNSTANDARD },
    ...[0, 1, 2, ...kept].map(keepOpen),
    { kind: "execute", paths: [command[0]], arguments: [...command, ...words] },
  ]
  runStepsHere(attachArena(arena), arena, steps)
}

/** True if the runtime has an io_uring, by which it makes system calls that no filter sees. */
export function hasRing(): boolean {
  return openDescriptors().some(({ what }) => what === "anon_inode:[io_uring]")
}

/** The runtime has marked standard descriptors close-on-exec. */
function keepOpen(descriptor: number): Step {
  return { kind: "duplicate", descriptor, number: descriptor, mayFail: true }
}

/** As bytes: an argument need not be valid UTF-8. */
function ownCommandLine(): Text[] {
  return lastArguments(readFileSync("/proc/self/cmdline"), Number.POSITIVE_INFINITY)
}

/** The descriptors whose paths options and operands name. */
export function namedDescriptors(commandLine: readonly string[]): number[] {
  return commandLine.flatMap(namedDescriptor)
}

/** The descriptor whose path is the argument, alone or after an option: `-l/dev/fd/5`, `--netns=/proc/self/fd/5`. */
function namedDescriptor(argument: string): number[] {
  const match = DESCRIPTOR_PATH.exec(argument)
  return match === null ? [] : [Number(match[1])]
}

/** Lists the open descriptors; none without /proc. */
function openDescriptors(): OpenDescriptor[] {
  if (!existsSync(FOLDER)) return []
  return readdirSync(FOLDER).flatMap((name) => {
    const number = Number(name)
    if (number < FIRST_UNSTANDARD) return []
    try {
      const what = readlinkSync(`${FOLDER}/${name}`)
      return [{ number, what, isNonBlocking: isPipe(what) && isNonBlocking(name) }]
    } catch {
      // The descriptor by which the folder was read.
      return []
    }
  })
}

function isNonBlocking(name: string): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`${NOTES}/${name}`, "latin1"))
  return (Number.parseInt(flags?.[1] ?? "0", 8) & O_NONBLOCK) !== 0
}

function isPipe(what: string): boolean {
  return what.startsWith("pipe:")
}

/** True if more is open than a runtime opens by itself. A runtime holds both ends of its pipes. */
export function hasForeign(descriptors: readonly OpenDescriptor[]): boolean {
  const ends = new Map<string, number>()
  const blocking = new Set<string>()
  let loops = 0
  for (const { what, isNonBlocking } of descriptors) {
    if (isPipe(what)) {
      ends.set(what, (ends.get(what) ?? 0) + 1)
      if (!isNonBlocking) blocking.add(what)
    } else if (!OF_RUNTIME.has(what)) return true
    if (what === POLL) loops++
  }
  if ([...ends.values()].some((count) => count !== 2)) return true
  return blocking.size > BLOCKING_PIPES || ends.size - blocking.size > loops
}
