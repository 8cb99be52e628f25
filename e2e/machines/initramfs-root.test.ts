/** With an initramfs as the root, which pivot_root(2) refuses to leave, the sandbox holds as elsewhere. */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect } from "vitest"
import type { Entry } from "../../scripts/v86-guest/archive.mjs"
import { repository, testWith } from "../harness/machine.ts"
import { withLibraries } from "../qemu/initramfs.ts"
import type { Kernel } from "../qemu/kernel.ts"
import { makeSystem, needed, VirtualMachine } from "../qemu/virtual-machine.ts"

const test = testWith(...needed)

/** The programs, as a package manager places them. */
const folders = [
  ["apps/passt/bin", "passt/bin"],
  ["apps/passt/dist", "passt/dist"],
  ["apps/pasta/bin", "pasta/bin"],
  ["apps/pasta/dist", "pasta/dist"],
  ["packages/sys/build", "node_modules/@demiflow/sys/build"],
] as const

const files = [
  ["apps/passt/package.json", "passt/package.json"],
  ["apps/pasta/package.json", "pasta/package.json"],
  ["packages/sys/package.json", "node_modules/@demiflow/sys/package.json"],
] as const

function copied(from: string, to: string): Entry {
  const path = join(repository, from)
  return { path: `demiflow/${to}`, content: readFileSync(path), mode: statSync(path).mode & 0o777 }
}

async function programs({ folder, version }: Kernel): Promise<readonly Entry[]> {
  const tap = readFileSync(join(folder, "lib/modules", version, "kernel/drivers/net/tun.ko"))
  return [
    ...(await withLibraries(process.execPath)),
    // BusyBox's program of that name can't change the user.
    { path: "util/setpriv", content: readFileSync("/usr/bin/setpriv"), mode: 0o755 },
    ...(await withLibraries("/usr/bin/setpriv")).slice(1),
    ...files.map(([from, to]) => copied(from, to)),
    ...folders.flatMap(([from, to]) =>
      readdirSync(join(repository, from)).map((name) => copied(`${from}/${name}`, `${to}/${name}`)),
    ),
    { path: "modules/tun.ko", content: tap },
    { path: "etc/passwd", content: "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n" },
  ]
}

let machine: VirtualMachine
beforeAll(async () => {
  machine = await VirtualMachine.start(await makeSystem(programs))
  await machine.must(
    "chmod 1777 /tmp; chmod 666 /dev/null; insmod /modules/tun.ko; chmod 666 /dev/net/tun; mkdir -p /usr/bin; ln -s /bin/busybox /usr/bin/env",
  )
  expect(await machine.must("stat -f -c %T /")).toMatch(/^(tmpfs|ramfs)\n/)
}, 300_000)
afterAll(() => machine?.kill())

const users = [
  ["root", ""],
  ["an ordinary user", "/util/setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all -- "],
] as const

/** Lists the root folder of a process. */
const showRoot = (pid: string) => `echo "root: $(ls -A /proc/${pid}/root/)"`
const EMPTY = /^root: *\n/m

describe.each(users)("on an initramfs, for %s, the root is empty", (_user, prefix) => {
  const [passt, pasta] = ["passt", "pasta"].map((name) => `${prefix}/demiflow/${name}/bin/${name}`)

  test("--print-sandbox says so", async () => {
    for (const program of [passt, pasta]) {
      expect(await machine.must(`${program} --print-sandbox`)).toContain("yes: an empty root\n")
    }
  })

  test("of passt, in the foreground", async () => {
    const wait = "while ! grep -q Sandbox: /tmp/log; do usleep 500000; done"
    const output = await machine.must(
      `${passt} -f --debug -s /tmp/socket 2> /tmp/log & ${wait}; ${showRoot("$!")}; kill $!; wait $! || :; cat /tmp/log`,
    )
    expect(output).toMatch(EMPTY)
    expect(output).toMatch(/Sandbox: .*an empty root/)
  })

  test("of passt, in the background, which removes its socket in the end", async () => {
    const wait = "while [ -e /tmp/socket ]; do usleep 500000; done"
    const output = await machine.must(
      `${passt} --debug -s /tmp/socket -P /tmp/pid; pid=$(cat /tmp/pid); ${showRoot("$pid")}; kill $pid; ${wait}; rm -f /tmp/pid`,
    )
    expect(output).toMatch(EMPTY)
  })

  test("of pasta, and not that of its command", async () => {
    const note = "/tmp/data-path"
    const command = `ls /; id -u; echo $PPID > ${note}; while [ -e ${note} ]; do usleep 500000; done`
    const start = `${pasta} --debug --no-pidns --config-net -- sh -c '${command}' > /tmp/written 2>&1 &`
    const output = await machine.must(
      `${start} while [ ! -s ${note} ]; do usleep 500000; done; ${showRoot(`$(cat ${note})`)}; rm ${note}; wait $!; cat /tmp/written`,
    )
    expect(output).toMatch(EMPTY)
    expect(output).toMatch(/^demiflow\n(.*\n)*0\n/m)
    expect(output).toMatch(/Sandbox: .*an empty root/)
  })
})
