/** DPDK's virtio_user, a front end of vhost-user that nobody here wrote, on huge pages. */
import { readFileSync, writeFileSync } from "node:fs"
import { afterAll, beforeAll, expect } from "vitest"
import { throughHost, throughLoopback } from "../harness/from-host.ts"
import { testWith } from "../harness/machine.ts"
import { Passt } from "../harness/passt.ts"
import { Program } from "../harness/processes.ts"
import { UDP_PORT, udpClient } from "../harness/servers.ts"
import { ipv4, useTopology } from "../harness/topology.ts"

const HUGE_PAGES = "/proc/sys/vm/nr_hugepages"
/** Of 2 MiB each. */
const PAGES = 256
const MAC = "52:54:00:12:34:57"
/** Of passt. */
const OUR_MAC = "9a:55:9a:55:9a:55"

const test = testWith("dpdk-testpmd")
const topology = useTopology()

let pagesBefore = ""
beforeAll(() => {
  pagesBefore = readFileSync(HUGE_PAGES, "utf8")
  writeFileSync(HUGE_PAGES, String(Math.max(PAGES, Number(pagesBefore))))
})
afterAll(() => writeFileSync(HUGE_PAGES, pagesBefore))

/** A front end that sends datagrams from the guest's address, and one that returns what it gets. */
async function startFrontEnd(passt: Passt): Promise<Program> {
  const device = `net_virtio_user0,path=${passt.socket},queues=1,mac=${MAC}`
  const memory = ["--no-pci", "--in-memory", "--single-file-segments", "-m", String(PAGES)]
  const options = ["-i", `--tx-ip=${ipv4.host},${ipv4.server}`, `--eth-peer=0,${OUR_MAC}`, "--burst=1"]
  const words = ["stdbuf", "-oL", "dpdk-testpmd", "-l", "0,1", ...memory, `--vdev=${device}`, "--", ...options]
  const frontEnd = new Program([...topology.host.prefix(), ...words], { keepInputOpen: true })
  await frontEnd.printed(/testpmd> /)
  // passt answers to the Ethernet address that it has seen.
  frontEnd.write("set fwd txonly\nstart\n")
  await passt.program.printed(new RegExp(`New guest MAC address observed: ${MAC}`), "stderr")
  frontEnd.write("stop\nset fwd 5tswap\nstart\n")
  await frontEnd.printed(/5tswap packet forwarding - ports=1/)
  return frontEnd
}

test("is served, one after the other", async () => {
  const passt = await Passt.start(topology, ["--vhost-user", "--mtu", "1500", "-u", `${UDP_PORT}`])
  for (let time = 0; time < 2; time++) {
    const frontEnd = await startFrontEnd(passt)
    const sizes = [0, 1, 100, 1400, 1472]
    expect(await udpClient(topology.host, throughLoopback[0], { scenario: "sizes", sizes })).toEqual({ intact: sizes })
    expect(await udpClient(topology.world, throughHost[0], { scenario: "many", sockets: 100 })).toEqual({
      answered: 100,
    })
    frontEnd.write("stop\nquit\n")
    expect((await frontEnd.result).status).toBe(0)
  }
  expect((await passt.stop()).status).toBe(0)
})
