/** The default path of passt's socket, and the sockets that passt leaves alone. */
import { join } from "node:path"
import { afterEach, expect, test } from "vitest"
import { awaitFile } from "./harness/files.ts"
import { Holder } from "./harness/holders.ts"
import { Hypervisor } from "./harness/hypervisor.ts"
import { repository, sharedFolder, temporaryFolder } from "./harness/machine.ts"
import { startPasstProcess } from "./harness/passt.ts"
import type { Program } from "./harness/processes.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()

const started: Program[] = []
afterEach(async () => {
  for (const program of started.splice(0)) await program.stop()
})

/** Prefix that runs a command with a /tmp of its own, in which the tests' own files are still visible. */
function withPrivateTemporaryFolder(): readonly string[] {
  const kept = [sharedFolder(), repository].filter((path) => path.startsWith("/tmp/"))
  const lines = kept.map((path) => {
    const place = `/mnt/${path.slice("/tmp/".length)}`
    return `mkdir -p "${place}" && mount --rbind "${path}" "${place}"`
  })
  const script = ["mount -t tmpfs -o mode=1777 tmpfs /mnt", ...lines, "mount --rbind /mnt /tmp", 'exec "$@"']
  return ["unshare", "--mount", "sh", "-euc", script.join("\n"), "sh"]
}

/** passt without -s, which sees the files of a holder: its process, and the path that it prints. */
async function start(holder: Holder, options: readonly string[] = []) {
  const before = ["nsenter", `--mount=/proc/${holder.pid}/ns/mnt`]
  const pidPath = join(temporaryFolder("passt"), "pid")
  const file = awaitFile(pidPath)
  const program = startPasstProcess(topology.host, ["-f", "-P", pidPath, ...options], { before })
  started.push(program)
  program.result.finally(() => file.forget())
  const [, path = ""] = await program.printed(/socket bound at (\S+)\n/, "stderr")
  const pid = Number(await file.text)
  return { program, path, pid, visit: () => visit(`/proc/${holder.pid}/root${path}`) }
}

/** One guest that sends a request and disconnects. */
async function visit(path: string): Promise<void> {
  const hypervisor = await Hypervisor.connect(path)
  await hypervisor.settle()
  await hypervisor.disconnect()
}

test("at the first path in /tmp that is free; one that is in use isn't touched, one that was left over is replaced", async () => {
  const holder = await Holder.start(withPrivateTemporaryFolder())
  started.push(holder.program)
  const first = await start(holder, ["--one-off"])
  const second = await start(holder)
  expect([first.path, second.path]).toEqual(["/tmp/passt_1.socket", "/tmp/passt_2.socket"])
  process.kill(second.pid, "SIGKILL")
  await second.program.result
  const third = await start(holder)
  expect(third.path).toBe("/tmp/passt_2.socket")
  // The first passt ends with its first hypervisor, and has seen none so far.
  expect(first.program.stderr).not.toContain("connection")
  await first.visit()
  expect((await first.program.result).status).toBe(0)
  await third.visit()
  expect((await start(holder)).path).toBe("/tmp/passt_1.socket")
})
