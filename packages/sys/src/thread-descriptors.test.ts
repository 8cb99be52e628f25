import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"

const addon = fileURLToPath(new URL("../build/demiflow.node", import.meta.url))

/** Runs a program, with functions for it, in a process of its own: others here open and close descriptors, too. */
function run(program: string): string {
  const source = `
    const { closeSync, fstatSync, openSync, readdirSync } = require("node:fs")
    const { Worker } = require("node:worker_threads")
    const native = require(${JSON.stringify(addon)})
    const count = () => readdirSync("/proc/self/fd").length
    /** Starts a thread with the addon and an arena, which goes on for ever after the code. */
    async function start(code) {
      const worker = new Worker(\`
        const native = require(${JSON.stringify(addon)})
        const arena = new DataView(new ArrayBuffer(4096))
        native.attach(arena.buffer)
        setInterval(() => {}, 1000)
        \${code}
        require("node:worker_threads").parentPort.postMessage(result)\`, { eval: true })
      return { worker, result: await new Promise((resolve) => worker.once("message", resolve)) }
    }
    ;(async () => { ${program} })()`
  const { stdout, stderr } = spawnSync(process.execPath, ["-e", source], { encoding: "utf8" })
  return stdout + stderr
}

it("closes what a terminated thread has opened", () => {
  const printed = run(`
    // The runtime keeps something of the first thread of all.
    await (await start("const result = 0")).worker.terminate()
    const before = count()
    const { worker, result } = await start(\`
      const open = () => [
        native.epollCreate(), native.socket(2, 1, 0), native.createEvent(0), native.open("/dev/null", 0, 0),
        native.pidfdOpen(process.pid), native.fileControl(0, 1030, 100), native.openInNamespace(-1, "/dev/null", 0),
        native.socketInNamespace(-1, 2, 1, 0), native.createPipe(0), native.socketPair(1, 1, 0, 8),
      ]
      for (let round = 0; round < 20; round++) open()
      const listener = native.socket(2, 1, 0)
      arena.setUint16(64, 2, true)
      arena.setUint32(68, 0x7f000001)
      native.bind(listener, 64, 16)
      native.listen(listener, 1)
      native.getSocketName(listener, 64, 16)
      native.connect(native.socket(2, 1, 0), 64, 16)
      const result = native.accept(listener, 64, 0)\`)
    const during = count()
    await worker.terminate()
    console.log(result > 0, during - before > 240, count() - before)`)
  expect(printed).toBe("true true 0\n")
})

it("closes what a message has brought, and the thread hasn't taken", () => {
  const printed = run(`
    await (await start("const result = 0")).worker.terminate()
    const before = count()
    const { worker, result } = await start(\`
      native.socketPair(1, 5, 0, 8)
      const [from, to] = [arena.getInt32(8, true), arena.getInt32(12, true)]
      /** One message: a byte at 16, its entry at 64, its control data at 128, with room for five descriptors. */
      const entry = (controlBytes) => [16, 1, 0, 0, 128, controlBytes, 0, 0].forEach((word, index) => {
        arena.setInt32(64 + 4 * index, word, true)
      })
      let result = 0
      for (const number of [1, 2, 5]) {
        const opened = Array.from({ length: number }, () => native.open("/dev/null", 0, 0))
        arena.setBigUint64(128, BigInt(16 + 4 * number), true)
        arena.setInt32(136, 1, true)
        arena.setInt32(140, 1, true)
        opened.forEach((descriptor, index) => arena.setInt32(144 + 4 * index, descriptor, true))
        entry(16 + 4 * number)
        native.sendMessages(from, 64, 1, 0)
        for (const descriptor of opened) native.close(descriptor)
        entry(40)
        result += native.receiveMessages(to, 64, 1, 0)
      }
      native.close(from)
      native.close(to)\`)
    const during = count()
    await worker.terminate()
    console.log(result, during - before > 8, count() - before)`)
  expect(printed).toBe("3 true 0\n")
})

it("leaves alone a number that somebody else has got since", () => {
  const printed = run(`
    const { worker, result } = await start(\`
      const result = native.socket(2, 1, 0)
      native.close(result)\`)
    const mine = []
    while (!mine.includes(result)) mine.push(openSync("/dev/null"))
    await worker.terminate()
    console.log(fstatSync(result).isCharacterDevice())`)
  expect(printed).toBe("true\n")
})
