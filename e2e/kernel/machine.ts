/** A machine with its own kernel, the programs of Debian, and this checkout: runs jobs, and returns their results. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { ordinaryUser, repository, temporaryFolder } from "../harness/machine.ts"
import { mustRun, run } from "../harness/processes.ts"
import type { Kernel } from "../qemu/kernel.ts"
import { copyFiles, copySystem } from "./debian.ts"

/** Packages that the core of the tests and the demo use. */
const packages = [
  "busybox-static",
  "curl",
  "dnsutils",
  "gcc",
  "iproute2",
  "iputils-ping",
  "isc-dhcp-client",
  "kmod",
  "libc6-dev",
  "mount",
  "netcat-openbsd",
  "procps",
  "psmisc",
  "python3",
  "socat",
  "traceroute",
  "udhcpc",
  "util-linux",
]

/** Shell: runs cases of the core of the end-to-end tests, whose results become core.json. */
export const coreTests = (which: string): string =>
  "CI=true NO_COLOR=1 DEMIFLOW_SLOWNESS=10 node node_modules/.bin/vitest run --reporter=verbose --reporter=json " +
  `--maxWorkers 2 --config e2e/core.vitest.config.ts --outputFile.json=/results/core.json ${which}`

const ordinary: Special = { packages: [], init: "init=/init.sh" }

const DISK = "6G"
const RESULTS = 64 << 20
const CONSOLE_SHOWN = 12_000

/** Shell commands by name, which run in the checkout and may write to /results. */
export type Jobs = Readonly<Record<string, string>>

/** What differs between machines. */
export interface Special {
  /** Debian packages beside those of every machine. */
  readonly packages: readonly string[]
  /** Words of the kernel's command line that name the first process. */
  readonly init: string
}

export interface Outcome {
  /** The folder with the jobs' results. */
  readonly results: string
  /** The whole output. */
  readonly console: string
}

async function makeDisk(folder: string, kernel: Kernel, jobs: Jobs, more: readonly string[]): Promise<string> {
  const root = join(folder, "root")
  const disk = join(folder, "disk")
  mkdirSync(root)
  await copySystem(root, [...packages, ...more], [process.execPath])
  const modules = `lib/modules/${kernel.version}`
  mkdirSync(join(root, modules), { recursive: true })
  await copyFiles(kernel.folder, root, [modules])
  await mustRun(["depmod", "-b", root, kernel.version])
  mkdirSync(join(root, "demiflow"))
  await copyFiles(repository, join(root, "demiflow"), ["."], "--exclude=./.git --exclude=.cache")
  for (const name of ["init", "jobs"]) {
    copyFileSync(join(import.meta.dirname, `${name}.sh`), join(root, `${name}.sh`))
    chmodSync(join(root, `${name}.sh`), 0o755)
  }
  mkdirSync(join(root, "etc/systemd/system"), { recursive: true })
  copyFileSync(join(import.meta.dirname, "jobs.service"), join(root, "etc/systemd/system/jobs.service"))
  writeFileSync(
    join(root, "jobs"),
    Object.entries(jobs)
      .map(([name, command]) => `${name} ${command}\n`)
      .join(""),
  )
  await mustRun(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, disk, DISK])
  rmSync(root, { recursive: true })
  return disk
}

/**
 * Runs the jobs. Rejects unless the machine reaches the end of its jobs, whatever their exit statuses.
 *
 * @param limit the machine's limit, milliseconds
 */
export async function runJobs(
  kernel: Kernel,
  jobs: Jobs,
  limit: number,
  special: Special = ordinary,
): Promise<Outcome> {
  const folder = temporaryFolder("kernel")
  const disk = await makeDisk(folder, kernel, jobs, special.packages)
  const leaves = join(folder, "leaves")
  const output = join(folder, "console")
  const image = join(folder, "kernel")
  copyFileSync(kernel.image, image)
  for (const path of [leaves, output]) writeFileSync(path, "")
  truncateSync(leaves, RESULTS)
  for (const path of [disk, leaves, output]) chmodSync(path, 0o666)
  const argv = [
    // The clock counts instructions, so that a case has as much time on a busy machine as on an idle one. This needs a
    // single processor: several would spend their time waiting for each other.
    "qemu-system-x86_64 -accel tcg -icount shift=0,sleep=on -machine q35 -cpu max -m 3072 -nodefaults -no-user-config -display none",
    `-no-reboot -serial file:${output}`,
    // Devices whose drivers are built into this kernel, so that it needs no initial file system.
    ...[disk, leaves].flatMap((path, number) => [
      `-drive file=${path},format=raw,if=none,cache=unsafe,id=d${number}`,
      `-device nvme,drive=d${number},serial=d${number}`,
    ]),
    `-kernel ${image}`,
  ].flatMap((line) => line.split(" "))
  const append = `root=/dev/nvme0n1 rw ${special.init} console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable`
  const { stderr } = await run([...ordinaryUser.prefix, ...argv, "-append", append], {
    environment: { ...process.env, HOME: "/tmp" },
    timeout: limit,
  })
  const results = join(folder, "results")
  mkdirSync(results)
  const printed = readFileSync(output, "utf8")
  const tail = `${printed.slice(-CONSOLE_SHOWN)}\n${stderr.slice(-CONSOLE_SHOWN)}`
  await run(["tar", "-C", results, "-xf", leaves])
  if (!existsSync(join(results, "end"))) throw new Error(`the machine did not come to its end; its console:\n${tail}`)
  return { results, console: printed }
}
