/** Helpers for tests with Linux guests, and the world's servers for these. */
import { afterAll, beforeAll } from "vitest"
import type { Place } from "../harness/places.ts"
import { eventually, type Program } from "../harness/processes.ts"
import { families, inUrl, type Topology } from "../harness/topology.ts"
import { makeSystem, type System, type VirtualMachine } from "./virtual-machine.ts"

export const HTTP_PORT = 8000
/** Size of a large file, in whole blocks of 100 KiB; more than all buffers of the path hold. */
export const BYTES: number = 150 * 102_400

/** A web server in the world, and the guests' boot files, for the tests of the file that calls this. */
export function useGuestSystem(topology: Topology): { readonly system: System } {
  let system: System | undefined
  let web: Program | undefined
  beforeAll(async () => {
    const request = { listen: families.map(({ server }) => server), port: HTTP_PORT, folder: "/nowhere" }
    web = topology.world.startNode("http-server.mjs", request)
    await web.printed(/ready/)
    system = await makeSystem()
  })
  afterAll(() => web?.stop())
  return {
    get system() {
      if (system === undefined) throw new Error("there is a system only while tests run")
      return system
    },
  }
}

/** Address, route, MTU and resolver by DHCPv4, and an address by router advertisements. */
export async function configure(machine: VirtualMachine): Promise<void> {
  await machine.must("ip link set eth0 up; udhcpc -i eth0 -n -q -t 10 -T 1 -O mtu -O search -s /etc/udhcpc")
  await eventually("an address by autoconfiguration", async () =>
    (await machine.run("ip -6 addr show dev eth0 scope global | grep -q inet6")).status === 0 ? true : undefined,
  )
}

/** Starts a guest's web server, with a file of random bytes. Returns their hash. */
export async function serve(machine: VirtualMachine, bytes: number): Promise<string> {
  await machine.must(
    `mkdir -p /www; dd if=/dev/urandom of=/www/file bs=100k count=${bytes / 102_400} 2> /dev/null; httpd -p 80 -h /www`,
  )
  return (await machine.must("sha256sum < /www/file")).slice(0, 64)
}

/** Fetches a guest's file from a place outside. */
export const fetchHash = async (from: Place, url: string): Promise<string> =>
  (await from.shell(`curl -s -S '${url}' | sha256sum`)).slice(0, 64)

/** The URL of a file of this size in the world. */
export const bytesUrl = (address: string, bytes: number): string =>
  `http://${inUrl(address)}:${HTTP_PORT}/bytes/${bytes}`
