// A whole machine for arm64, emulated: Debian's kernel for it, busybox, Node.js and the installed packages. Namespaces
// and devices, which an emulator of programs has not, are that kernel's.
import { execFile } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { archive } from "../v86-guest/archive.mjs"
import { unpackPackages } from "../v86-guest/debian.mjs"
import { librariesOfArm } from "./machines.mjs"

const emulator = "qemu-system-aarch64"
const timeLimit = 600_000

/** What Node.js needs, of Debian's packages for cross compilers. */
const libraries = [
  "ld-linux-aarch64.so.1",
  "libatomic.so.1",
  "libc.so.6",
  "libdl.so.2",
  "libgcc_s.so.1",
  "libm.so.6",
  "libpthread.so.0",
  "librt.so.1",
  "libstdc++.so.6",
]

/** Downloads through pasta as root, and as somebody who may do nothing but that. */
const init = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev /tmp /usr/bin /www
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
ln -s /bin/busybox /usr/bin/env
chmod 1777 /tmp
insmod /modules/tun.ko
chmod 666 /dev/net/tun /dev/null
ip link set lo up
head -c 4194304 /dev/urandom > /www/file
(cd /www && sha256sum file) > /hash
httpd -p 127.0.0.1:8000 -h /www
pasta=/node_modules/@demiflow/pasta/bin/pasta
download='wget -q -O /tmp/file http://169.254.2.2:8000/file && cd /tmp && sha256sum -c /hash && rm /tmp/file'
uname -m
echo "as root: $($pasta --config-net -- sh -c "$download")"
echo "as nobody: $(su -s /bin/sh nobody -c "$pasta --config-net -- sh -c '$download'")"
poweroff -f
`

/**
 * The files below a folder.
 * @param {string} folder
 * @param {string} to
 * @returns {import("../v86-guest/archive.mjs").Entry[]}
 */
function filesOf(folder, to) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name))
    .map((path) => ({
      path: `${to}${path.slice(folder.length)}`,
      content: readFileSync(path),
      mode: statSync(path).mode & 0o777,
    }))
}

/**
 * Boots the machine. Returns what it printed.
 * @param {string} node Node.js for arm64
 * @param {string} modules the folder of the installed packages
 * @param {string} work
 */
export async function bootArm(node, modules, work) {
  const folder = join(work, "arm-machine")
  mkdirSync(folder)
  unpackPackages(folder, { architecture: "arm64", names: ["busybox-static"], newest: ["linux-image-cloud-arm64"] })
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" })
  /** @param {RegExp} pattern */
  const find = (pattern) => {
    const found = paths.find((path) => pattern.test(path))
    if (found === undefined) throw new Error(`Debian's packages have no file ${pattern}`)
    return join(folder, found)
  }
  const entries = [
    { path: "init", content: init, mode: 0o755 },
    { path: "etc/passwd", content: "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n" },
    { path: "bin/busybox", content: readFileSync(find(/^(usr\/)?bin\/busybox$/)), mode: 0o755 },
    { path: "bin/node", content: readFileSync(node), mode: 0o755 },
    { path: "modules/tun.ko", content: readFileSync(find(/\/tun\.ko$/)) },
    ...libraries.map((name) => ({
      path: `lib/${name}`,
      content: readFileSync(join(librariesOfArm, "lib", name)),
      mode: 0o755,
    })),
    ...filesOf(modules, "node_modules"),
  ]
  const initramfs = join(folder, "initramfs")
  writeFileSync(initramfs, archive(entries))
  const machine = ["-machine", "virt", "-cpu", "cortex-a57", "-accel", "tcg", "-smp", "2", "-m", "2048", "-nic", "none"]
  const files = ["-kernel", find(/^boot\/vmlinuz-/), "-initrd", initramfs]
  const parameters = [...machine, ...files, "-append", "console=ttyAMA0 quiet panic=-1", "-nographic", "-no-reboot"]
  const { stdout } = await promisify(execFile)(emulator, parameters, { timeout: timeLimit, maxBuffer: 16 << 20 })
  return stdout
}
