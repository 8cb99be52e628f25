// node scripts/quiet/main.mjs TITLE COMMAND…: runs a command, and shows its output only if it fails.
import { spawnSync } from "node:child_process"

const [title = "", file = "", ...parameters] = process.argv.slice(2)
process.stderr.write(`${title}…\n`)
const { status, stdout, stderr, error } = spawnSync(file, parameters, {
  encoding: "utf8",
  stdio: ["ignore", "pipe", "pipe"],
  maxBuffer: 64 * 1024 * 1024,
})
if (status !== 0) process.stderr.write(error ? `${error.message}\n` : stdout + stderr)
process.exitCode = status ?? 1
