// Machines that this one isn't: musl by its own dynamic linker, and arm64 by qemu's emulator of processors for
// programs.
import { execFile, execFileSync, spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { addon, packageName, targets } from "../prebuilt/targets.mjs"
import { environmentOf, muslRoot } from "../prebuilt/toolchain.mjs"
import { answersGuest } from "./guest.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))
const cache = join(root, "node_modules/.cache/demiflow-prebuilt")
const emulator = "/usr/bin/qemu-aarch64"
export const librariesOfArm = "/usr/aarch64-linux-gnu"

/**
 * Whether musl's dynamic linker loads an addon and finds all functions. Those of a runtime, which there is none of for
 * musl here, are empty ones of the program that loads it.
 * @param {import("../prebuilt/targets.mjs").Target} target
 * @param {string} modules the folder of the installed packages
 * @param {string} work
 */
export function loadByMusl(target, modules, work) {
  const file = join(modules, packageName(target), addon)
  const symbols = execFileSync("readelf", ["--wide", "--dyn-syms", file], { encoding: "utf8" })
  const stubs = [...symbols.matchAll(/UND ((?:napi|node_api|uv)_\w+)/g)].map(([, name]) => `void ${name}(void) {}`)
  const source = `#include <dlfcn.h>
#include <stdio.h>
${stubs.join("\n")}
int main(int count, char **words)
{
	void *addon = count > 1 ? dlopen(words[1], RTLD_NOW) : NULL;
	puts(!addon ? dlerror() : dlsym(addon, "napi_register_module_v1") ? "loaded" : "not an addon");
	return 0;
}
`
  const musl = muslRoot(target, cache)
  const program = join(work, `load-${target.architecture}`)
  const [compiler = "", ...options] = environmentOf(target, true, cache).CC.split(" ")
  const library = `-L${join(musl, "lib", `${target.machine}-linux-musl`)}`
  execFileSync(compiler, [...options, "-rdynamic", library, "-x", "c", "-", "-o", program], { input: source })
  const command = [join(musl, "lib", `ld-musl-${target.machine}.so.1`), program, file]
  const [first = "", ...rest] = target.architecture === process.arch ? command : [emulator, ...command]
  const printed = execFileSync(first, rest, { encoding: "utf8" })
  if (printed !== "loaded\n") throw new Error(`${file}: ${printed}`)
}

/** All targets with musl. */
export const withMusl = targets.filter(({ libc }) => libc === "musl")

/**
 * Runs a program with Node.js for arm64. Returns what it printed.
 * @param {string} node
 * @param {readonly string[]} parameters
 * @param {string} [cwd]
 */
export async function runOnArm(node, parameters, cwd) {
  const env = { ...process.env, DEMIFLOW_EMULATED: "1" }
  const options = { cwd, env, timeout: 300_000 }
  const { stdout } = await promisify(execFile)(emulator, ["-L", librariesOfArm, node, ...parameters], options)
  return stdout
}

/**
 * Starts passt for arm64 in namespaces of its own, where the kernel hands such programs to the emulator and their
 * libraries are where they are searched, and asks it for an Ethernet address over its socket.
 * @param {string} node
 * @param {string} passt
 * @param {string} work
 */
export async function answersOnArm(node, passt, work) {
  const script = join(work, "on-arm.sh")
  const socket = join(work, "passt.socket")
  // ELF, 64 bits, little-endian, EM_AARCH64: binfmt_misc of the kernel's admin guide. F: opened now, and not by path.
  const magic = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`
  const mask = String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`
  writeFileSync(
    script,
    `set -eu
mount -t overlay overlay -o lowerdir=/usr/lib:${librariesOfArm}/lib /usr/lib
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf '%s' ':aarch64:M::${magic}:${mask}:${emulator}:OCF' > /proc/sys/fs/binfmt_misc/register
exec "$@"
`,
  )
  const command = ["--user", "--map-root-user", "--mount", "sh", script, node, passt, "-f", "-s", socket]
  const env = { ...process.env, PATH: `${join(node, "..")}:${process.env.PATH}` }
  const child = spawn("unshare", command, { env, stdio: ["ignore", "pipe", "pipe"] })
  await answersGuest(child, socket)
}
