/** The requirements of the tests, and what happens where the machine lacks them. */
import { execFileSync } from "node:child_process"
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join, resolve } from "node:path"
import { type TestContext, type TestOptions, test } from "vitest"
import { searchForRefusals } from "./refusals.ts"

/** The folder of the repository. */
export const repository: string = resolve(import.meta.dirname, "../..")

/** The program under test. DEMIFLOW_PASTA names another one, to check the tests themselves. */
export const pastaExecutable: string = process.env.DEMIFLOW_PASTA ?? join(repository, "apps/pasta/bin/pasta")

/** The same for passt and DEMIFLOW_PASST. */
export const passtExecutable: string = process.env.DEMIFLOW_PASST ?? join(repository, "apps/passt/bin/passt")

/** In continuous integration a missing tool is a failure, elsewhere a test that is skipped. */
export const inContinuousIntegration: boolean = process.env.CI === "true"

/**
 * True if an executable of this name is in PATH, or in the folders of administration tools; for a path, if it exists.
 */
export function isInstalled(tool: string): boolean {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"]
  return folders.some((folder) => existsSync(resolve(folder, tool)))
}

type Body = (context: TestContext) => void | Promise<void>
type Register = (name: string, body: Body, options?: number | TestOptions) => void

/** `test` for a case that uses these programs: names the missing ones. */
export function testWith(...tools: readonly string[]): Register {
  const missing = tools.filter((tool) => !isInstalled(tool))
  return (name, body, options) => {
    const settings = typeof options === "number" ? { timeout: options } : { ...options }
    test(name, settings, async (context) => {
      if (missing.length === 0) return body(context)
      const message = `not installed: ${missing.join(", ")}`
      if (inContinuousIntegration) throw new Error(message)
      context.skip(message)
    })
  }
}

/** A folder that any user may enter and write to; removed by `removeSharedFolder`. */
export function sharedFolder(): string {
  const folder = process.env.DEMIFLOW_E2E_FOLDER
  if (folder === undefined) throw new Error("the end-to-end tests run through e2e/vitest.config.ts")
  return folder
}

/** A new folder inside the shared one, which any user may write to. */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(sharedFolder(), `${name}-`))
  chmodSync(folder, 0o777)
  searchForRefusals(folder)
  return folder
}

/** A file for a program under test to write to or to read, in a folder that any user may enter. */
export function fileFor(name: string): string {
  return `${temporaryFolder("file")}/${name}`
}

/** The identity of programs that run without privileges. */
export const ordinaryUser: { readonly uid: number; readonly prefix: readonly string[] } = {
  uid: 65534,
  prefix: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--"],
}

function anybodyMayEnter(path: string): boolean {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if ((statSync(folder).mode & constants.S_IXOTH) === 0) return false
    if (folder === dirname(folder)) return true
  }
}

/**
 * The same file under a path that an ordinary user can reach. A clone in a private folder (a home
 * directory, say) is reachable through the bind mount that `prepareMachine` made.
 */
export function reachable(path: string): string {
  if (anybodyMayEnter(path)) return path
  if (path.startsWith(`${repository}/`)) return join(sharedFolder(), "repository", path.slice(repository.length))
  if (path === process.execPath) return join(sharedFolder(), "node", "bin/node")
  return path
}

function bind(source: string, target: string): void {
  mkdirSync(target, { recursive: true })
  execFileSync("mount", ["--bind", source, target])
  // Read-only: cleaning up the temporary folder must not reach the original through it.
  execFileSync("mount", ["-o", "remount,bind,ro", target])
}

/** Removes the namespaces that killed test processes have left behind. */
function sweep(): void {
  if (!existsSync("/run/netns")) return
  for (const name of readdirSync("/run/netns")) {
    const [, owner] = /^df-(\d+)-\d+-/.exec(name) ?? []
    if (owner === undefined || existsSync(`/proc/${owner}`)) continue
    for (const pid of execFileSync("ip", ["netns", "pids", name], { encoding: "utf8" }).split(/\s+/)) {
      if (pid !== "") process.kill(Number(pid), "SIGKILL")
    }
    execFileSync("ip", ["netns", "delete", name])
  }
}

/** Runs once per run of the tests, as root. Returns a function that undoes it. */
export function prepareMachine(): () => void {
  sweep()
  const folder = mkdtempSync(join(tmpdir(), "df-e2e-"))
  chmodSync(folder, 0o777)
  process.env.DEMIFLOW_E2E_FOLDER = folder
  const mounts: string[] = []
  if (!anybodyMayEnter(repository)) {
    bind(repository, join(folder, "repository"))
    mounts.push(join(folder, "repository"))
  }
  if (!anybodyMayEnter(process.execPath)) {
    bind(resolve(dirname(process.execPath), ".."), join(folder, "node"))
    mounts.push(join(folder, "node"))
  }
  // udev opens the clone device to everybody on an ordinary machine; in a bare container only root may use it.
  try {
    accessSync("/dev/net/tun", constants.F_OK)
    chmodSync("/dev/net/tun", 0o666)
  } catch {
    // The tests that need it report that.
  }
  allowCubic()
  return () => {
    for (const mount of mounts) execFileSync("umount", [mount])
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Namespaces may only choose congestion controls that the machine allows to every user. */
function allowCubic(): void {
  const name = "net.ipv4.tcp_allowed_congestion_control"
  try {
    const allowed = execFileSync("sysctl", ["-n", name], { encoding: "utf8" }).trim().split(/\s+/)
    if (!allowed.includes("cubic")) execFileSync("sysctl", ["-q", "-w", `${name}=${[...allowed, "cubic"].join(" ")}`])
  } catch {
    // The kernel has no cubic: the tests run with its default.
  }
}
