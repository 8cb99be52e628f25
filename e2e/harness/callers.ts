/** Helpers for tests that create a namespace themselves and call pasta to connect it. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect } from "vitest"
import type { Identity } from "./identity.ts"
import { temporaryFolder } from "./machine.ts"
import { type PastaProcessOptions, runPasta } from "./pasta.ts"
import { type Place, ProcessPlace } from "./places.ts"
import { eventually, type Program } from "./processes.ts"
import type { Topology } from "./topology.ts"

/** The user and network namespaces of a process that pasta has not started. */
export class Entered extends ProcessPlace {
  prefix(): readonly string[] {
    return ["nsenter", "--target", String(this.pid), "--user", "--net", "--"]
  }
}

/** True if a process is running, and not a zombie. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

/** Settles when the process has ended by itself. */
export async function hasEnded(pid: number): Promise<void> {
  await eventually(`process ${pid} has ended`, () => (isRunning(pid) ? undefined : true))
}

/** Starts pasta in the background. Returns the process that stays, once the first one has ended successfully. */
export async function connect(
  topology: Topology,
  argv: readonly string[],
  as: Identity = "ordinary",
  options: PastaProcessOptions = {},
): Promise<number> {
  const pidFile = join(temporaryFolder("pasta"), "pid")
  const { status, stderr } = await runPasta(topology.host, ["-P", pidFile, ...argv], as, options)
  expect(status, stderr).toBe(0)
  return Number(readFileSync(pidFile, "utf8"))
}

/** Ends the process that `connect` returned, unless it has ended already or was never started. */
export function endPasta(pid: number | undefined): void {
  if (pid !== undefined && isRunning(pid)) process.kill(pid)
}

/** `unshare` as an ordinary user, who is root inside; ends when its input does. */
export async function unshared(topology: Topology): Promise<{ readonly program: Program; readonly place: Entered }> {
  const argv = ["unshare", "--user", "--map-root-user", "--net", "--", "sh", "-c", "echo unshared; exec cat"]
  const program = topology.host.start(argv, { ordinary: true, keepInputOpen: true })
  await program.printed(/^unshared$/m)
  return { program, place: new Entered(program.pid) }
}

/** SHA-256 of curl's download, in hexadecimal. */
export async function hashFrom(place: Place, url: string): Promise<string> {
  const script = 'set -o pipefail; curl --silent --show-error --fail "$0" | sha256sum'
  const sum = await place.must(["bash", "-euc", script, url])
  return sum.split(" ")[0]
}
