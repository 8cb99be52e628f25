// node scripts/v86-guest/main.mjs [FOLDER]: makes the files that the examples' virtual machines run from, in the folder
// where the examples search them unless another is named. They are Debian's: a kernel, busybox, SeaBIOS; and `state`, the
// machine as it is once it has booted. Needs apt-get and dpkg-deb, some minutes, and 60 MB. Nothing is installed.
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { machine } from "../../examples/v86-relay/page/machine.mjs"
import { saveState } from "./boot.mjs"
import { writeFiles } from "./files.mjs"

const usual = fileURLToPath(new URL("../../node_modules/.cache/demiflow-v86", import.meta.url))
const folder = resolve(process.argv[2] ?? usual)

// Files of an earlier version of these scripts, or for another machine, are made anew.
const hash = createHash("sha256").update(JSON.stringify(machine))
for (const name of readdirSync(import.meta.dirname).sort()) hash.update(readFileSync(join(import.meta.dirname, name)))
const version = hash.digest("hex")
const mark = join(folder, "version")

if (!existsSync(mark) || readFileSync(mark, "utf8") !== version) {
  mkdirSync(folder, { recursive: true })
  console.log("Fetching the kernel and programs of Debian…")
  writeFiles(folder)
  console.log("Booting them, to save the state: about a minute…")
  await saveState(folder, (text) => process.stdout.write(text))
  writeFileSync(mark, version)
}
console.log(`The files are in ${folder}.`)
