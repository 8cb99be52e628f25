/**
 * Debian's kernel for virtual machines, out of its package. The package is only unpacked, not installed,
 * because it isn't meant for the machine that runs the tests.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs"
import { basename, join } from "node:path"
import { repository } from "../harness/machine.ts"
import { mustRun } from "../harness/processes.ts"

/** Names the package of the newest one. */
const newest = "linux-image-cloud-amd64"

/** The package is fetched once for all runs of the tests, from the source in the lists of `apt-get update`. */
const cache = join(repository, "node_modules/.cache/demiflow-e2e/kernels")

/** Modules that the guest's network needs, in the order of loading. */
const moduleNames = [
  "virtio_ring",
  "virtio",
  "virtio_pci_legacy_dev",
  "virtio_pci_modern_dev",
  "virtio_pci",
  "failover",
  "net_failover",
  "virtio_net",
]

export interface Kernel {
  /** The output of `uname -r`. */
  readonly version: string
  /** The folder of the unpacked package. */
  readonly folder: string
  /** Path of the bootable image. */
  readonly image: string
  /** Modules for the network, by name, in the order of loading. */
  readonly modules: readonly (readonly [string, Buffer])[]
}

async function fetchPackage(): Promise<string> {
  const depends = await mustRun(["apt-cache", "depends", "--important", newest])
  const [, name] = /Depends: (linux-image-\S+)/.exec(depends) ?? []
  if (name === undefined) throw new Error(`apt knows no package ${newest}; run apt-get update`)
  const folder = join(cache, name)
  if (existsSync(folder)) return folder
  mkdirSync(cache, { recursive: true })
  const unfinished = mkdtempSync(join(cache, "unfinished-"))
  await mustRun(["apt-get", "download", "-qq", name], { workingDirectory: unfinished })
  const unpack = "dpkg-deb -x ./*.deb . && rm ./*.deb"
  await mustRun(["sh", "-euc", unpack], { workingDirectory: unfinished })
  try {
    renameSync(unfinished, folder)
  } catch {
    // Another test has already unpacked it.
    rmSync(unfinished, { recursive: true })
  }
  return folder
}

export async function findKernel(): Promise<Kernel> {
  const folder = await fetchPackage()
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
  const find = (pattern: RegExp): string => {
    const found = files.find((file) => pattern.test(file))
    if (found === undefined) throw new Error(`${folder}: no file ${pattern}; delete the folder to unpack it anew`)
    return join(folder, found)
  }
  const image = find(/^boot\/vmlinuz-/)
  return {
    version: basename(image).replace("vmlinuz-", ""),
    folder,
    image,
    modules: moduleNames.map((name) => [name, readFileSync(find(new RegExp(`/${name}\\.ko$`)))]),
  }
}
