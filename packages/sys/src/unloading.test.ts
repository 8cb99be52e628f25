import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"

const addon = fileURLToPath(new URL("../build/demiflow.node", import.meta.url))

it("stays in the process when the only thread that used it ends, as handlers of signals lie in it", () => {
  const inThread = `
    const native = require(${JSON.stringify(addon)})
    native.attach(new ArrayBuffer(4096))
    if (native.memoryCreate() < 0) throw new Error("no memory")`
  const source = `
    const { Worker } = require("node:worker_threads")
    new Worker(${JSON.stringify(inThread)}, { eval: true }).on("exit", (status) => {
      console.log(status, require("node:fs").readFileSync("/proc/self/maps", "utf8").includes("demiflow.node"))
      process.kill(process.pid, "SIGBUS")
      setInterval(() => {}, 1000)
    })`
  const { stdout, stderr, signal } = spawnSync(process.execPath, ["-e", source], { encoding: "utf8" })
  expect({ stdout, stderr, signal }).toEqual({ stdout: "0 true\n", stderr: "", signal: "SIGBUS" })
})
