// Children of the demo: first system calls of @demiflow/sys, instead of unshare(1), nsenter(1) and setpriv(1); then a
// program. They end with the demo.
import { Socket } from "node:net"
import { Arena } from "@demiflow/core"
import { attachArena, checkResult, parseStepFailure, parseWaitStatus, runSteps, shellStatus } from "@demiflow/sys"

export const arena = new Arena(1 << 20)
export const native = attachArena(arena)

const SIGKILL = 9
const words = arena.reserve(8, 8)

/** The reading and the writing end. */
function pipe() {
  checkResult(native.createPipe(words), "make a pipe")
  return [arena.words[words >> 2], arena.words[(words >> 2) + 1]]
}

/** The first data from a pipe; nothing if the other end is closed before. */
function firstText(readEnd) {
  return new Promise((resolve, reject) => {
    const stream = new Socket({ fd: readEnd, readable: true, writable: false }).setEncoding("utf8")
    // The pipe stays open for further output.
    stream.once("data", (text) => resolve(text) || stream.unref())
    stream.once("end", () => resolve(""))
    stream.once("error", reject)
  })
}

/** Starts a child. Returns its process number, and its first message over the pipe that `steps` receives. */
async function begin(steps) {
  const [readEnd, writeEnd] = pipe()
  const child = runSteps(native, arena, steps(writeEnd), writeEnd)
  native.close(writeEnd)
  const text = await firstText(readEnd)
  const failed = parseStepFailure(text.split("\n")[0] ?? "", child.steps)
  if (failed !== undefined) throw new Error(`${failed.step.kind} failed with error ${failed.errno}`)
  return { process: child.process, text }
}

const withParent = { kind: "dieWithParent", signal: SIGKILL }

/** Passes a descriptor to a child: Node.js closes all of its own when a program is executed. */
const give = (descriptor, number = descriptor) => ({ kind: "duplicate", descriptor, number, mayFail: true })

const execute = (argv) => ({ kind: "execute", paths: [argv[0]], arguments: argv })

/** Runs a program with the terminal of the demo, after these steps. Returns its exit status. */
export async function runToEnd(argv, steps = []) {
  const child = await begin(() => [...steps, withParent, give(0), give(1), give(2), execute(argv)])
  const descriptor = checkResult(native.pidfdOpen(child.process), "watch a process")
  await new Promise((resolve) => {
    const poll = native.pollOpen(descriptor, () => {
      native.pollClose(poll)
      resolve()
    })
    native.pollSet(poll, 1)
  })
  native.close(descriptor)
  native.waitPid(child.process, 0, words)
  return shellStatus(parseWaitStatus(arena.words[words >> 2]))
}

/** Starts a program after these steps, and waits until it prints its first line. */
export async function startServer(argv, steps) {
  const { text } = await begin((writeEnd) => [...steps, withParent, give(writeEnd, 1), give(2), execute(argv)])
  if (text === "") throw new Error(`${argv.join(" ")} ended before it was ready`)
}

/** Runs a child that makes namespaces, and opens one of them; the child then ends. */
export async function openNamespace(flags, name) {
  const [never] = pipe()
  const child = await begin((writeEnd) => [
    { kind: "unshare", flags },
    withParent,
    { kind: "putByte", descriptor: writeEnd },
    { kind: "waitByte", descriptor: never },
  ])
  const descriptor = checkResult(native.open(`/proc/${child.process}/ns/${name}`, 0, 0), "open a namespace")
  native.kill(child.process, SIGKILL)
  native.waitPid(child.process, 0, words)
  return descriptor
}
