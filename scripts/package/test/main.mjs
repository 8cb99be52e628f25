// npm run test:package: what `npm run package` makes, in a Debian without Node.js, as an ordinary user; the Debian
// packages beside Debian's own; and the wall of the executables.
//
//   node main.mjs [TITLE…]    only what has one of these words in its title
import { execFileSync, spawnSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { answersGuest } from "../../install/guest.mjs"
import { runCases } from "../../test/cases.mjs"
import { countTests } from "../../test/results.mjs"
import { fetchDebians, Root } from "./root.mjs"

const repository = fileURLToPath(new URL("../../..", import.meta.url))
const work = mkdtempSync(join(tmpdir(), "demiflow-package-test-"))
chmodSync(work, 0o755)
const output = join(work, "output")
const names = ["pasta", "passt"]
const ours = names.map((name) => `demiflow-${name}`)

// What is made doesn't depend on who makes it.
const makePackages = ['umask 077; exec "$@"', "sh", process.execPath, join(import.meta.dirname, "../main.mjs"), output]
execFileSync("sh", ["-c", ...makePackages], { stdio: "inherit" })
const root = new Root(join(work, "root"))
const packages = readdirSync(output)
  .filter((name) => name.endsWith(".deb"))
  .map((name) => root.add(join(output, name)))
const debians = root.add(fetchDebians(join(work, "debians")))

const payload = randomBytes(4 << 20)
const server = createServer((_request, response) => response.end(payload)).listen(0, "127.0.0.1")
await once(server, "listening")
const port = /** @type {import("node:net").AddressInfo} */ (server.address()).port

/**
 * @param {unknown} actual
 * @param {unknown} expected
 */
function same(actual, expected) {
  const [found, wanted] = [actual, expected].map((value) => JSON.stringify(value))
  if (found !== wanted) throw new Error(`${found} instead of ${wanted}`)
}

/**
 * Both commands work, by these paths.
 * @param {string} pasta
 * @param {string} passt
 */
async function bothWork(pasta, passt) {
  for (const command of [pasta, passt]) {
    const version = await root.run([command, "--version"])
    if (!/^pas(?:ta|st) \S+ \(demiflow, with Node\.js [\d.]+\)\n$/.test(version)) throw new Error(version)
    const parts = (await root.run([command, "--print-sandbox"])).trim().split("\n")
    same([parts.length, parts.filter((part) => !part.startsWith("yes: "))], [8, []])
  }
  const addresses = ["-4", "--config-net", "-a", "10.0.2.15/24", "-g", "10.0.2.2"]
  const download = `busybox wget -qO- http://10.0.2.2:${port}/ | sha256sum`
  const hash = await root.run([pasta, ...addresses, "--", "sh", "-c", download])
  same(hash.split(" ")[0], createHash("sha256").update(payload).digest("hex"))
  const socket = "/tmp/passt.socket"
  await answersGuest(root.start([passt, "-f", "-s", socket]), join(root.folder, socket))
}

/** Where each name leads that a user may type, and what Debian's package finds changed in its files. */
function places() {
  const lead = names.map((name) => root.administer(["sh", "-c", `readlink -f "$(command -v ${name})" || true`]).trim())
  const changed = root.administer(["sh", "-c", "dpkg --verify passt 2>/dev/null || true"])
  return { lead, changed }
}

const leadToOurs = { lead: ["/usr/lib/demiflow/pasta", "/usr/lib/demiflow/passt"], changed: "" }
const leadToDebians = { lead: ["/usr/bin/passt", "/usr/bin/passt"], changed: "" }
const leadNowhere = { lead: ["", ""], changed: "" }
/** How many cases attack the wall, or find out what it consists of. */
const casesOfWall = 15
const install = (/** @type {readonly string[]} */ files) => root.administer(["dpkg", "--install", ...files])
const remove = (/** @type {readonly string[]} */ installed) => root.administer(["dpkg", "--purge", ...installed])

/** Nothing of ours is left. */
function nothingIsLeft() {
  const pattern =
    "/usr/lib/demiflow /usr/share/doc/demiflow-* /etc/alternatives/pas* /usr/bin/demiflow-* /usr/local/bin/*"
  same(root.administer(["sh", "-c", `for file in ${pattern}; do [ ! -e $file ] || echo $file; done`]), "")
}

/** @type {Record<string, () => void | Promise<void>>} */
const cases = {
  "a Debian without Node.js": () => same(root.administer(["sh", "-c", "command -v node || true"]), ""),

  "the executables alone": async () => {
    const [pasta = "", passt = ""] = names.map((name) => root.add(join(output, name)))
    await bothWork(pasta, passt)
  },

  "no folder where files may be executed": async () => {
    install(packages)
    const failure = await root.run(["demiflow-pasta", "--", "true"], ["/dev/shm", "/tmp", "/var/tmp"]).catch(String)
    remove(ours)
    if (!/^pasta: demiflow\.node can't be executed from any of the folders/m.test(failure)) throw new Error(failure)
  },

  "the Debian packages": async () => {
    install(packages)
    await bothWork("demiflow-pasta", "demiflow-passt")
    same(places(), leadToOurs)
    for (const part of ["Copyright Node.js contributors", "musl", "demiflow contributors"]) {
      root.administer(["grep", "-q", part, "/usr/share/doc/demiflow-pasta/copyright"])
    }
    for (const name of names) {
      const [executable, documents] = [`/usr/lib/demiflow/${name}`, `/usr/share/doc/demiflow-${name}`]
      const files = [executable, documents, `${documents}/README.md`, `${documents}/copyright`]
      same(root.administer(["stat", "--format=%a", ...files]), "755\n755\n644\n644\n")
      // What dpkg calls if something else than a removal goes wrong.
      root.administer([`/var/lib/dpkg/info/demiflow-${name}.prerm`, "failed-upgrade", "1"])
    }
    same(places(), leadToOurs)
    remove(ours)
    nothingIsLeft()
  },

  "Debian's own package comes later, and goes first": () => {
    install(packages)
    install([debians])
    same(places(), leadToDebians)
    remove(["passt"])
    same(places(), leadToOurs)
    remove(ours)
    same(places(), leadNowhere)
    nothingIsLeft()
  },

  "Debian's own package is there before, and stays": () => {
    install([debians])
    install(packages)
    same(places(), leadToDebians)
    root.administer(["update-alternatives", "--set", "pasta", "/usr/bin/demiflow-pasta"])
    same(places(), { ...leadToDebians, lead: ["/usr/lib/demiflow/pasta", "/usr/bin/passt"] })
    remove(ours)
    same(places(), leadToDebians)
    nothingIsLeft()
    remove(["passt"])
    same(places(), leadNowhere)
  },

  "what the administrator has put there stays": () => {
    root.administer(["sh", "-c", "ln -s /bin/true /usr/local/bin/pasta; cp /bin/true /usr/local/bin/passt"])
    const before = root.administer(["sh", "-c", "ls -l /usr/local/bin"])
    install(packages)
    same(root.administer(["sh", "-c", "ls -l /usr/local/bin"]), before)
    remove(ours)
    same(root.administer(["sh", "-c", "ls -l /usr/local/bin"]), before)
    root.administer(["rm", "/usr/local/bin/pasta", "/usr/local/bin/passt"])
  },

  "an alternative of the administrator's stays": () => {
    const theirs = ["/usr/local/bin/pasta", "pasta", "/usr/bin/busybox", "200"]
    root.administer(["update-alternatives", "--install", ...theirs])
    install(packages)
    same(places(), { lead: ["/usr/bin/busybox", "/usr/lib/demiflow/passt"], changed: "" })
    install([debians])
    remove(ours)
    same(places(), { lead: ["/usr/bin/busybox", "/usr/bin/passt"], changed: "" })
    same(root.administer(["update-alternatives", "--list", "pasta"]), "/usr/bin/busybox\n")
    remove(["passt"])
    root.administer(["update-alternatives", "--remove", "pasta", "/usr/bin/busybox"])
    nothingIsLeft()
  },

  "the wall": () => {
    const environment = { DEMIFLOW_PASTA: join(output, "pasta"), DEMIFLOW_PASST: join(output, "passt") }
    const titles = "a data path that the guest has taken over|what pas(ta|st) gives up"
    const vitest = [join(repository, "node_modules/vitest/vitest.mjs"), "run", "--config", "e2e/vitest.config.ts"]
    const results = join(work, "wall.json")
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${results}`]
    const options = [...reporters, "--testNamePattern", titles]
    const { status } = spawnSync(process.execPath, [...vitest, "wall.test.ts", ...options], {
      cwd: repository,
      env: { ...process.env, ...environment },
      stdio: "inherit",
    })
    same(status, 0)
    // Titles that fit none pass, too.
    const { passed } = countTests(JSON.parse(readFileSync(results, "utf8")))
    if (passed < casesOfWall) throw new Error(`only ${passed} cases of the wall`)
  },
}

process.exitCode = (await runCases(cases, process.argv.slice(2))) ? 0 : 1
server.close()
rmSync(work, { recursive: true })
