// npm run bench: measures pasta or passt beside the programs that they can replace, in temporary namespaces.
// README.md describes its use.
//
// This first process checks the machine's requirements, and starts measure.mjs in namespaces of its own. These
// hold all networks, mounts and processes, which are gone with them, however they end.
import { spawn, spawnSync } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, delimiter, join } from "node:path"
import { commandOf, parseArguments, UsageError, usage } from "./arguments.mjs"
import { allRows, isWanted } from "./cases.mjs"
import { compile } from "./compile.mjs"
import { folders, missing } from "./requirements.mjs"

/**
 * Prints one line, and ends.
 * @param {string} reason
 * @returns {never}
 */
function giveUp(reason) {
  process.stderr.write(`bench: ${reason}\n`)
  process.exit(1)
}

function readSettings() {
  try {
    return parseArguments(process.argv.slice(2))
  } catch (error) {
    if (error instanceof UsageError) giveUp(error.message)
    throw error
  }
}

/** Namespaces may only choose congestion controls that the machine allows to every user. */
function allowCubic() {
  const name = "net.ipv4.tcp_allowed_congestion_control"
  const allowed = spawnSync("sysctl", ["-n", name], { encoding: "utf8" }).stdout.trim()
  if (allowed === "" || allowed.split(/\s+/).includes("cubic")) return
  spawnSync("sysctl", ["-q", "-w", `${name}=${allowed} cubic`])
}

process.env.PATH = folders.join(delimiter)
// Settings for other programs of the runtime must not slow down the measured one: a file of certificates costs 40 ms.
for (const variable of Object.keys(process.env)) if (variable.startsWith("NODE_")) delete process.env[variable]
const settings = readSettings()
if (settings === undefined) {
  process.stdout.write(usage)
  process.exit(0)
}
const { only } = settings
if (!allRows.some((row) => isWanted(only, row))) giveUp(`no row matches --only ${only?.source}`)
const isMeasured = settings.from === undefined
const measured = commandOf(settings.program)
const problem = isMeasured
  ? missing(settings, join(import.meta.dirname, "../apps", measured, "bin", measured))
  : undefined
if (problem !== undefined) giveUp(problem)

const folder = mkdtempSync(join(tmpdir(), "demiflow-bench-"))
process.on("exit", () => rmSync(folder, { recursive: true, force: true }))
// Users other than root start programs from there.
chmodSync(folder, 0o755)
/** @type {string[]} */
const namespaces = []
if (isMeasured) {
  allowCubic()
  for (const sources of ["traffic", "../e2e/stand-in", "../e2e/vhost-stand-in"]) {
    const problem = compile(join(import.meta.dirname, sources), join(folder, basename(sources)))
    if (problem !== undefined) giveUp(problem)
  }
  namespaces.push("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
}
const command = [...namespaces, process.execPath, join(import.meta.dirname, "measure.mjs"), ...process.argv.slice(2)]
const child = spawn(command[0], command.slice(1), {
  stdio: "inherit",
  env: { ...process.env, DEMIFLOW_BENCH_FOLDER: folder },
})
// The terminal sends SIGINT to the whole group, and unshare does not end by it.
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  process.on(signal, () => {
    child.kill("SIGKILL")
    process.exit(1)
  })
}
child.on("error", (error) => giveUp(error.message))
child.on("exit", (status) => {
  process.exitCode = status ?? 1
})
