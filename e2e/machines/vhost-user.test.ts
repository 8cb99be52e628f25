/** Virtual machines over vhost-user whose network cards have fewer features, whose memory changes, or that are paused. */
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, describe, expect } from "vitest"
import { temporaryFolder, testWith } from "../harness/machine.ts"
import { Passt } from "../harness/passt.ts"
import { eventually } from "../harness/processes.ts"
import { families, inUrl, ipv4, useTopology } from "../harness/topology.ts"
import { hashOf } from "../programs/pattern.mjs"
import { bytesUrl, configure, fetchHash, HTTP_PORT, BYTES as LARGE, serve, useGuestSystem } from "../qemu/guest.ts"
import { Monitor } from "../qemu/monitor.ts"
import { needed, VirtualMachine } from "../qemu/virtual-machine.ts"

const BYTES = 30 * 102_400

const test = testWith(...needed)
const topology = useTopology()
const guests = useGuestSystem(topology)

/** Properties of cards. */
const cards: readonly (readonly [name: string, card: readonly string[]])[] = [
  ["without offloads", ["csum=off", "guest_csum=off", "gso=off"]],
  ["without merged buffers", ["mrg_rxbuf=off"]],
  ["without event indices and indirect tables", ["event_idx=off", "indirect_desc=off"]],
  ["with rings of 1024 entries", ["rx_queue_size=1024", "tx_queue_size=1024"]],
]

/** A download and a forwarded connection. */
async function expectTraffic(machine: VirtualMachine): Promise<void> {
  const hash = await serve(machine, BYTES)
  for (const family of families) {
    const output = await machine.must(`wget -q -O - '${bytesUrl(family.server, BYTES)}' | sha256sum`)
    expect(output.slice(0, 64)).toBe(hashOf(1, BYTES))
    expect(await fetchHash(topology.host, `http://${inUrl(family.loopback)}:2280/file`)).toBe(hash)
  }
  await machine.must("killall httpd")
}

describe("one passt", () => {
  let passt: Passt
  let machine: VirtualMachine | undefined
  beforeAll(async () => {
    passt = await Passt.start(topology, ["--vhost-user", "-t", "2280:80"])
  })
  afterEach(() => machine?.kill())
  afterAll(() => passt?.stop())

  for (const [name, card] of cards) {
    test(`a card ${name} is welcome`, async () => {
      machine = await VirtualMachine.start(guests.system, { socket: passt.socket, vhostUser: true, card })
      await configure(machine)
      await expectTraffic(machine)
    })
  }

  test("memory may be plugged in and unplugged while the machine runs", async () => {
    const monitor = join(temporaryFolder("qemu"), "monitor")
    machine = await VirtualMachine.start(guests.system, { socket: passt.socket, vhostUser: true, monitor })
    await configure(machine)
    const control = await Monitor.connect(monitor)
    for (const id of ["one", "two"]) {
      await control.execute("object-add", { "qom-type": "memory-backend-memfd", id, size: 2 ** 27, share: true })
      await control.execute("device_add", { driver: "pc-dimm", id: `dimm-${id}`, memdev: id })
      await expectTraffic(machine)
    }
    await control.execute("device_del", { id: "dimm-one" })
    await eventually("the guest has let go of it", async () => {
      const modules = (await control.execute("query-memory-devices")) as readonly unknown[]
      return modules.length === 1 ? true : undefined
    })
    await expectTraffic(machine)
    control.close()
  })

  test("data is intact though the machine is paused meanwhile", async () => {
    const monitor = join(temporaryFolder("qemu"), "monitor")
    machine = await VirtualMachine.start(guests.system, { socket: passt.socket, vhostUser: true, monitor })
    await configure(machine)
    const control = await Monitor.connect(monitor)
    const connections = async (filter: string): Promise<readonly string[]> => {
      const { stdout } = await topology.host.run(["ss", "-Htn", "state", "established", filter])
      return stdout.split("\n").filter((line) => line !== "")
    }
    const established = (filter: string) =>
      eventually("a connection", async () => ((await connections(filter)).length > 0 ? true : undefined))

    for (const { server } of families) {
      const output = machine.must(`wget -q -O - '${bytesUrl(server, LARGE)}' | sha256sum`)
      const filter = `dport = :${HTTP_PORT}`
      await established(filter)
      await control.execute("stop")
      await eventually("its data waits at passt's socket", async () =>
        (await connections(filter)).some((line) => Number.parseInt(line, 10) > 50_000) ? true : undefined,
      )
      await control.execute("cont")
      expect((await output).slice(0, 64)).toBe(hashOf(1, LARGE))
    }

    const hash = await serve(machine, LARGE)
    const fetched = fetchHash(topology.host, `http://${ipv4.loopback}:2280/file`)
    await established("sport = :2280")
    await control.execute("stop")
    expect(await control.execute("query-status")).toMatchObject({ status: "paused" })
    await control.execute("cont")
    expect(await fetched).toBe(hash)
    control.close()
  })
})
