// npm run test:demo: the demo on a machine with only Node.js in its PATH. The demo must work, and name what it leaves
// out.
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { stripVTControlCharacters } from "node:util"

// Closed to others, like root's own folders: pasta's command is not root outside.
const folder = mkdtempSync(join(tmpdir(), "demo-"))
try {
  symlinkSync(process.execPath, join(folder, "node"))
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, "main.mjs")], {
    encoding: "utf8",
    env: { PATH: folder },
  })
  process.stdout.write(stdout + stderr)
  const text = stripVTControlCharacters(stdout)
  const expected = [
    /✓ Download +TCP, IPv4 .*✓ Download +TCP, IPv6 /s,
    /✓ Name +host\.example/,
    // The demo finds administration tools without PATH, and traceroute may be among them.
    /- Ping +left out: ping is not installed/,
    /Everything worked\. Left out: Ping(, Trace)?\./,
  ]
  const missing = expected.filter((pattern) => !pattern.test(text))
  for (const pattern of missing) console.error(`The demo did not print ${pattern}`)
  process.exitCode = status === 0 && missing.length === 0 ? 0 : 1
} finally {
  rmSync(folder, { recursive: true })
}
