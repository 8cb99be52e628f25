/** Features that the machine may lack: one line says what to do. */
import { expect, test } from "vitest"
import { ordinaryUser, pastaExecutable, reachable, testWith } from "./harness/machine.ts"
import { runPasta } from "./harness/pasta.ts"
import type { Result } from "./harness/processes.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()

function expectOneLine({ status, stdout, stderr }: Result, about: RegExp): void {
  expect(stderr).toMatch(/^[^\n]+\n$/)
  expect(stderr).toMatch(about)
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" })
}

/** A mount namespace in which `script` has been run. */
const prepared = (script: string) => ({ before: ["unshare", "--mount", "sh", "-euc", `${script}; exec "$@"`, "sh"] })

testWith("unshare")("no /dev/net/tun", async () => {
  const result = await runPasta(
    topology.host,
    ["--config-net", "--", "true"],
    "ordinary",
    prepared("mount -t tmpfs none /dev/net"),
  )
  expectOneLine(result, /\/dev\/net\/tun/)
})

testWith("unshare")("a /dev/net/tun that is closed to us", async () => {
  const script = "mount -t tmpfs none /dev/net; mknod -m 600 /dev/net/tun c 10 200"
  const result = await runPasta(topology.host, ["--config-net", "--", "true"], "ordinary", prepared(script))
  expectOneLine(result, /\/dev\/net\/tun/)
})

testWith("unshare")("no user namespaces", async () => {
  // Inside a user namespace of its own, the limit can be set without harm to the machine.
  const argv = [
    "sh",
    "-euc",
    'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"',
    "sh",
    reachable(pastaExecutable),
  ]
  const result = await topology.host.run([
    ...ordinaryUser.prefix,
    "unshare",
    "--user",
    "--map-root-user",
    ...argv,
    "--config-net",
    "--",
    "true",
  ])
  expectOneLine(result, /user.*namespaces/)
})

test("a home directory that is not there does no harm", async () => {
  const result = await runPasta(topology.host, ["--config-net", "--", "true"], "ordinary", {
    environment: { HOME: "/nowhere" },
  })
  expect(result).toMatchObject({ status: 0, stdout: "", stderr: "" })
})
