/**
 * Descriptors that the caller has left open without any use for them. For as long as we hold them, the other end
 * of a pipe never sees its end, and a file system can't be unmounted.
 *
 * The runtime has opened descriptors of its own by the time that any of our code runs, in the gaps that the caller left, and
 * nothing marks them as its own. So none is closed here. If there is one that can't be the runtime's, this process
 * executes the same command once more, and the kernel closes everything else on the way: what is open then is the runtime's.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { Arena } from "@demiflow/core"
import { attachArena, lastArguments, roomForArguments, runStepsHere, type Step, type Text } from "@demiflow/sys"

const FOLDER = "/proc/self/fd"
const NOTES = "/proc/self/fdinfo"
const FIRST_UNSTANDARD = 3
const ARENA_BYTES = 1 << 20
/** Set in between: what is open after that stays, whatever it is. */
const VARIABLE = "DEMIFLOW_CLOSED_INHERITED"
/** A path by which a descriptor is handed over: `/dev/fd/63`, `/proc/self/fd/5`. */
const DESCRIPTOR_PATH = /^(?:-[^/]*)?(?:\/dev\/fd|\/proc\/(?:self|thread-self|\d+)\/fd)\/(\d+)$/
/** What the event loops of a runtime consist of, apart from pipes. */
const OF_RUNTIME = new Set(["anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[io_uring]", "/dev/null"])
const POLL = "anon_inode:[eventpoll]"
/** Pipes of a runtime that block: the lock of its signal handlers. The one of each event loop doesn't block. */
const BLOCKING_PIPES = 1
const O_NONBLOCK = 0o4000

/** What is open at a number. */
export interface OpenDescriptor {
  readonly number: number
  /** As its link says: `pipe:[7]`, a path. */
  readonly what: string
  /** False for all but pipes. */
  readonly isNonBlocking: boolean
}

/**
 * Closes what the caller has left open, standard descriptors excepted, by executing this command again if there is any.
 * To be called before anything is opened. Throws a `SystemError`.
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
 * @param kept descriptors that stay open, beside the standard ones
 * @param before what executes the runtime, with its path and arguments behind its own; empty: nothing
 * @param first steps that come before it
 */
export function executeAgain(kept: readonly number[], before: readonly string[], first: readonly Step[] = []): void {
  const arena = new Arena(ARENA_BYTES + roomForArguments(process.argv))
  const command = [...before, process.execPath]
  const [, ...words] = ownCommandLine()
  const steps: Step[] = [
    ...first,
    // Of a runtime that has them by its file, which what comes before it hasn't.
    ...(before.length === 0 ? [] : [{ kind: "keepCapabilities", mayFail: true } as const]),
    { kind: "closeOnExecFrom", first: FIRST_UNSTANDARD },
    ...[0, 1, 2, ...kept].map(keepOpen),
    { kind: "execute", paths: [command[0]], arguments: [...command, ...words] },
  ]
  runStepsHere(attachArena(arena), arena, steps)
}

/** True if the runtime makes system calls that no filter sees: it has a ring of io_uring. */
export function hasRing(): boolean {
  return openDescriptors().some(({ what }) => what === "anon_inode:[io_uring]")
}

/** The runtime has marked standard descriptors to be closed. */
function keepOpen(descriptor: number): Step {
  return { kind: "duplicate", descriptor, number: descriptor, mayFail: true }
}

/** As bytes: an argument need not be valid UTF-8. */
function ownCommandLine(): Text[] {
  return lastArguments(readFileSync("/proc/self/cmdline"), Number.POSITIVE_INFINITY)
}

/** Descriptors whose paths options and operands name. */
export function namedDescriptors(commandLine: readonly string[]): number[] {
  return commandLine.flatMap(namedDescriptor)
}

/** The descriptor whose path is the argument, alone or behind an option: `-l/dev/fd/5`, `--netns=/proc/self/fd/5`. */
function namedDescriptor(argument: string): number[] {
  const match = DESCRIPTOR_PATH.exec(argument)
  return match === null ? [] : [Number(match[1])]
}

/** None without /proc: then nothing is known of them. */
function openDescriptors(): OpenDescriptor[] {
  if (!existsSync(FOLDER)) return []
  return readdirSync(FOLDER).flatMap((name) => {
    const number = Number(name)
    if (number < FIRST_UNSTANDARD) return []
    try {
      const what = readlinkSync(`${FOLDER}/${name}`)
      return [{ number, what, isNonBlocking: isPipe(what) && isNonBlocking(name) }]
    } catch {
      // The one by which the folder was read.
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

/** True if there is more than what a runtime opens by itself, which has both ends of its pipes. */
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
