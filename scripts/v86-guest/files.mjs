// The files that v86 boots a Linux from: Debian's kernel for i386, an initramfs with busybox, and SeaBIOS.
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { archive } from "./archive.mjs"
import { unpackPackages } from "./debian.mjs"

/** Modules for v86's `virtio` card, in the order of loading. */
const moduleNames = [
  "virtio",
  "virtio_ring",
  "virtio_pci_legacy_dev",
  "virtio_pci_modern_dev",
  "virtio_pci",
  "failover",
  "net_failover",
  "virtio_net",
]

const page = "<!doctype html><title>guest</title><h1>A guest in a page serves this</h1>\n"

/** @param {string} name */
const here = (name) => readFileSync(join(import.meta.dirname, name))

/**
 * Writes `bios.bin`, `vgabios.bin`, `kernel` and `initramfs` into a folder that exists.
 * @param {string} folder
 */
export function writeFiles(folder) {
  const unpacked = mkdtempSync(join(folder, "unpacked-"))
  try {
    const names = ["busybox-static", "seabios"]
    unpackPackages(unpacked, { architecture: "i386", names, newest: ["linux-image-686"] })
    const paths = readdirSync(unpacked, { recursive: true, encoding: "utf8" })
    /** @param {RegExp} pattern */
    const find = (pattern) => {
      const found = paths.find((path) => pattern.test(path))
      if (found === undefined) throw new Error(`Debian's packages have no file ${pattern}`)
      return join(unpacked, found)
    }
    const modules = moduleNames.map((name) => ({
      path: `modules/${name}.ko`,
      content: readFileSync(find(new RegExp(`/${name}\\.ko$`))),
    }))
    const entries = [
      { path: "init", content: here("init.sh"), mode: 0o755 },
      { path: "etc/udhcpc", content: here("udhcpc.sh"), mode: 0o755 },
      { path: "bin/busybox", content: readFileSync(find(/^(usr\/)?bin\/busybox$/)), mode: 0o755 },
      { path: "www/index.html", content: page },
      { path: "modules/order", content: moduleNames.map((name) => `${name}\n`).join("") },
      ...modules,
    ]
    writeFileSync(join(folder, "initramfs"), archive(entries, 9))
    copyFileSync(find(/^boot\/vmlinuz-/), join(folder, "kernel"))
    copyFileSync(find(/\/seabios\/bios\.bin$/), join(folder, "bios.bin"))
    copyFileSync(find(/\/seabios\/vgabios-stdvga\.bin$/), join(folder, "vgabios.bin"))
  } finally {
    rmSync(unpacked, { recursive: true })
  }
}
