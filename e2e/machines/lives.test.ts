/** Virtual machines that reboot, are killed, and talk to each other: `npm run test:machines`. */
import { afterAll, beforeAll, describe, expect } from "vitest"
import { testWith } from "../harness/machine.ts"
import { Passt } from "../harness/passt.ts"
import { eventually } from "../harness/processes.ts"
import { families, inUrl, ipv4, ipv6, overBoth, useTopology } from "../harness/topology.ts"
import { hashOf } from "../programs/pattern.mjs"
import { BYTES, bytesUrl, configure, fetchHash, serve, useGuestSystem } from "../qemu/guest.ts"
import { needed, VirtualMachine } from "../qemu/virtual-machine.ts"

const test = testWith(...needed)
const topology = useTopology()
const guests = useGuestSystem(topology)

describe.each([
  ["the stream socket", false],
  ["vhost-user", true],
])("a guest by %s", (_, vhostUser) => {
  let passt: Passt
  let machine: VirtualMachine
  beforeAll(async () => {
    passt = await Passt.start(topology, ["-t", "2280:80", ...(vhostUser ? ["--vhost-user"] : [])])
    machine = await VirtualMachine.start(guests.system, { socket: passt.socket, vhostUser })
    await configure(machine)
  })
  afterAll(async () => {
    await machine?.kill()
    await passt?.stop()
  })

  test("reboots, and is connected again by the same passt", async () => {
    await machine.reboot()
    await configure(machine)
    expect(await machine.must("cat /run/udhcpc.bound")).toContain(`ip=${ipv4.host}\n`)
    const hash = await serve(machine, 102_400)
    for (const family of families) {
      const output = await machine.must(`wget -q -O - '${bytesUrl(family.server, 1_000_000)}' | sha256sum`)
      expect(output.slice(0, 64)).toBe(hashOf(1, 1_000_000))
      expect(await fetchHash(topology.host, `http://${inUrl(family.loopback)}:2280/file`)).toBe(hash)
    }
  })

  test("is killed in the middle of transfers, and another one takes its place", async () => {
    const endless = `(wget -q -O /dev/null '${bytesUrl(ipv4.server, 1e12)}' &) > /dev/null 2>&1`
    const upload = "(cat /dev/zero | nc.openbsd 198.51.100.7 8000 &) > /dev/null 2>&1"
    /** Measured on the host: such a busy guest loses input at its serial port. */
    const received = async (): Promise<number> =>
      Number(/eth0: *(\d+)/.exec(await topology.host.must(["cat", "/proc/net/dev"]))?.[1])
    const before = await received()
    await machine.must(`${endless}; ${upload}`)
    // More than any buffer holds, so that the guest has to read.
    await eventually("the transfer is under way", async () => {
      return (await received()) - before > 50_000_000 ? true : undefined
    })
    await machine.kill()
    machine = await VirtualMachine.start(guests.system, { socket: passt.socket, vhostUser })
    await configure(machine)
    const output = await machine.must(`wget -q -O - '${bytesUrl(ipv6.server, 1_000_000)}' | sha256sum`)
    expect(output.slice(0, 64)).toBe(hashOf(1, 1_000_000))
  })
})

describe("two guests, each with its passt", () => {
  const passts: Passt[] = []
  const machines: VirtualMachine[] = []
  let hashes: readonly string[] = []
  beforeAll(async () => {
    for (const number of [1, 2]) {
      const passt = await Passt.start(topology, ["-t", `300${number}:80`])
      passts.push(passt)
      machines.push(
        await VirtualMachine.start(guests.system, { socket: passt.socket, mac: `52:54:00:12:34:0${number}` }),
      )
    }
    await Promise.all(machines.map(configure))
    // An address that a guest has chosen itself is known once it was used; before that, connections go to the assigned
    // one.
    await Promise.all(machines.map((machine) => machine.must(`ping6 -c 1 -W 5 ${ipv6.gateway}`)))
    hashes = await Promise.all(machines.map((machine) => serve(machine, BYTES / 10)))
  }, 240_000)
  afterAll(async () => {
    for (const machine of machines) await machine.kill()
    for (const passt of passts) await passt.stop()
  })

  overBoth((family) => {
    test("talk to each other through forwarded ports", async () => {
      const seen = await Promise.all(
        machines.map((machine, i) =>
          // To a guest, the gateway is the host's loopback.
          machine.must(`wget -q -O - 'http://${inUrl(family.gateway)}:300${2 - i}/file' | sha256sum`),
        ),
      )
      expect(seen.map((output) => output.slice(0, 64))).toEqual([hashes[1], hashes[0]])
    })
  })
})
