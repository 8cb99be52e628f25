// Starts programs, and reads their costs.
import { spawn, spawnSync } from "node:child_process"
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { basename } from "node:path"

/** Clock ticks per second in /proc, the same on every architecture (proc(5)). */
const TICKS = 100
/** Enough for any case. */
const OPEN_FILES = 200_000

/** @type {Set<import("node:child_process").ChildProcess>} */
const children = new Set()

process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL")
})

/**
 * A command as shown in complaints, without the paths of this machine.
 * @param {readonly string[]} command
 */
function described(command) {
  return command.map((word) => (word.startsWith("/") ? basename(word) : word)).join(" ")
}

/**
 * Runs a program to its end; throws if it fails.
 * @param {readonly string[]} command
 * @param {string} [input]
 */
export function run([file, ...words], input = "") {
  const { status, stdout, stderr, error } = spawnSync(file, words, { encoding: "utf8", input })
  if (status !== 0) throw new Error(`${described([file, ...words])}: ${error?.message ?? stderr.trim()}`)
  return stdout
}

/** A running program. */
export class Program {
  /** @type {string[]} Lines of standard output that were not read yet. */
  #lines = []
  #partial = ""
  #errors = ""
  /** @type {(line: string) => void} */
  #onLine
  #hasEnded = false
  /** @type {Promise<number>} */
  ended

  /**
   * @param {readonly string[]} command
   * @param {(line: string) => void} [onLine]
   */
  constructor([file, ...words], onLine) {
    this.command = described([file, ...words])
    this.child = spawn(file, words, { stdio: ["pipe", "pipe", "pipe"] })
    this.#onLine = onLine ?? ((line) => this.#lines.push(line))
    children.add(this.child)
    this.child.stdin.on("error", () => {})
    this.child.stdout.setEncoding("utf8").on("data", (text) => this.#read(text))
    this.child.stderr.setEncoding("utf8").on("data", (text) => {
      this.#errors = `${this.#errors}${text}`.slice(-2000)
    })
    this.ended = new Promise((resolve) => {
      this.child.once("error", () => resolve(127))
      this.child.once("close", (status) => resolve(status ?? 128))
    }).then((status) => {
      this.#hasEnded = true
      children.delete(this.child)
      return status
    })
  }

  /** @returns {number} */
  get pid() {
    return this.child.pid ?? -1
  }

  get hasEnded() {
    return this.#hasEnded
  }

  /** Why the program failed. */
  get complaint() {
    return this.#errors.trim().split("\n").at(-1) || `${this.command} ended`
  }

  /** The JSON of each line that it prints to its end. Rejects if it fails. */
  async results() {
    if ((await this.ended) !== 0) throw new Error(this.complaint)
    return this.#lines.map((line) => JSON.parse(line))
  }

  kill() {
    this.child.kill("SIGKILL")
  }

  /** @param {string} text */
  #read(text) {
    const lines = (this.#partial + text).split("\n")
    this.#partial = lines.pop() ?? ""
    for (const line of lines) this.#onLine(line)
  }
}

/** Raises the limit of open files of this process, and of those that it starts, to the maximum. */
export function raiseOpenFiles() {
  const most = String(OPEN_FILES)
  // Root may not do so everywhere. The runtime has raised the soft limit to the hard one.
  spawnSync("prlimit", ["--pid", String(process.pid), `--nofile=${most}:${most}`])
}

/** The limit of open files of a process. */
export function mostOpenFiles() {
  return Number(/^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 1024)
}

/** @param {number} milliseconds */
export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/**
 * Polls `look` until it returns a value, and returns that.
 * @template T
 * @param {string} what
 * @param {() => T | undefined} find
 * @returns {Promise<T>}
 */
export async function eventually(what, find) {
  for (const until = performance.now() + 10_000; performance.now() < until; await pause(2)) {
    const found = find()
    if (found !== undefined) return found
  }
  throw new Error(`waited in vain for ${what}`)
}

/**
 * A file below a process's folder in /proc; empty if the process is gone.
 * @param {number} pid
 * @param {string} name
 */
function read(pid, name) {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8")
  } catch {
    return ""
  }
}

/**
 * @param {number} pid
 * @param {string} name
 */
function link(pid, name) {
  try {
    return readlinkSync(`/proc/${pid}/${name}`)
  } catch {
    return ""
  }
}

/**
 * The fields of /proc/PID/stat from the third on: state, parent, …
 * @param {number} pid
 */
function status(pid) {
  return read(pid, "stat")
    .replace(/^.*\) /s, "")
    .split(" ")
}

/**
 * A process and all its descendants.
 * @param {number} ancestor
 */
export function family(ancestor) {
  const pids = readdirSync("/proc").map(Number).filter(Number.isInteger)
  const parents = new Map(pids.map((pid) => [pid, Number(status(pid)[1])]))
  const members = [ancestor]
  for (const member of members) for (const [pid, parent] of parents) if (parent === member) members.push(pid)
  return members
}

/**
 * The network namespace of a process.
 * @param {number | "self"} pid
 */
export function networkOf(pid) {
  return link(/** @type {number} */ (pid), "ns/net")
}

/** @param {number} pid */
export function nameOf(pid) {
  return read(pid, "comm").trim()
}

/**
 * True if a process has a tap device open: then it is the data path.
 * @param {number} pid
 */
export function holdsTap(pid) {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((descriptor) => link(pid, `fd/${descriptor}`) === "/dev/net/tun")
  } catch {
    return false
  }
}

/**
 * Seconds of processor time that these processes have used, in user and kernel mode.
 * @param {readonly number[]} pids
 */
export function processorSeconds(pids) {
  return sum(pids, (pid) => {
    const fields = status(pid)
    return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS
  })
}

/**
 * Resident memory of a process, MiB: all of it, and the part that isn't from files, which can't be shared or read
 * again.
 * @typedef {{ all: number, anonymous: number }} Memory
 */

/** @param {number} pid @returns {Memory} */
export function residentMemory(pid) {
  const text = read(pid, "status")
  const of = (/** @type {string} */ name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0) / 1024
  return { all: of("VmRSS"), anonymous: of("RssAnon") }
}

/**
 * Memory of these processes, MiB: each one's own, and shared memory (mainly their program) once.
 * @param {readonly number[]} pids
 */
export function memoryTogether(pids) {
  const maps = pids.map((pid) => read(pid, "smaps_rollup"))
  const kibibytes = (/** @type {string} */ text, /** @type {string} */ name) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0)
  const own = sum(maps, (text) => kibibytes(text, "Private_Clean") + kibibytes(text, "Private_Dirty"))
  const shared = maps.map((text) => kibibytes(text, "Shared_Clean") + kibibytes(text, "Shared_Dirty"))
  return (own + Math.max(0, ...shared)) / 1024
}

/**
 * The number of times so far that threads of these processes blocked, and so were woken up.
 * @param {readonly number[]} pids
 */
export function wakeUps(pids) {
  return sum(pids, (pid) => {
    try {
      return sum(readdirSync(`/proc/${pid}/task`), (thread) =>
        Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(read(pid, `task/${thread}/status`))?.[1] ?? 0),
      )
    } catch {
      return 0
    }
  })
}

/**
 * @template T
 * @param {readonly T[]} items
 * @param {(item: T) => number} of
 */
export function sum(items, of) {
  return items.reduce((total, item) => total + of(item), 0)
}
