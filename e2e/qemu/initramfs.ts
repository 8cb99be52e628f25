/** The guest's initramfs: busybox, the modules for its network, and two programs that busybox lacks. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { archive, type Entry } from "../../scripts/v86-guest/archive.mjs"
import { mustRun } from "../harness/processes.ts"
import type { Kernel } from "./kernel.ts"

/** Linked statically, unlike `busybox` of the package of that name. */
const busybox = "/bin/busybox"

/** A DHCPv6 client, and a netcat that speaks UDP. */
const programs = ["/usr/sbin/dhclient", "/usr/bin/nc.openbsd"]

const here = (name: string): Buffer => readFileSync(join(import.meta.dirname, name))

/** A program with its shared libraries, at the paths where it loads them. */
export async function withLibraries(program: string): Promise<readonly Entry[]> {
  const libraries = [...(await mustRun(["ldd", program])).matchAll(/(\/\S+) \(0x/g)].map(([, path = ""]) => path)
  return [
    { path: `bin/${program.replace(/^.*\//, "")}`, content: readFileSync(program), mode: 0o755 },
    ...libraries.map((path) => ({ path: path.slice(1), content: readFileSync(path), mode: 0o755 })),
  ]
}

export async function makeInitramfs({ modules }: Kernel, more: readonly Entry[]): Promise<Buffer> {
  const dynamic = (await Promise.all(programs.map(withLibraries))).flat()
  const entries: readonly Entry[] = [
    { path: "init", content: here("init.sh"), mode: 0o755 },
    { path: "bin/busybox", content: readFileSync(busybox), mode: 0o755 },
    { path: "modules/order", content: modules.map(([name]) => `${name}\n`).join("") },
    ...modules.map(([name, content]) => ({ path: `modules/${name}.ko`, content })),
    { path: "etc/udhcpc", content: here("udhcpc.sh"), mode: 0o755 },
    { path: "etc/dhclient", content: here("dhclient.sh"), mode: 0o755 },
    ...dynamic,
    ...more,
  ]
  // Libraries that programs share are included once.
  return archive([...new Map(entries.map((entry) => [entry.path, entry])).values()])
}
