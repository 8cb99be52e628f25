/** Echo requests: every size, identifier and sequence, and the guest's hop limit. */
import { expect } from "vitest"
import { testWith } from "../harness/machine.ts"
import { CLOSED_PORT } from "../harness/servers.ts"
import { overBoth } from "../harness/topology.ts"
import type { Running } from "./running.ts"

/** With a router between the host and the world. */
export function testEcho(running: Running): void {
  overBoth((family) => {
    const ping = (...argv: string[]) =>
      running.guest.run(["ping", "-n", `-${family.version}`, "-W", "5", ...argv, family.server])

    testWith("ping")("every size up to 65,000 bytes is answered with what was sent", async () => {
      for (const size of [0, 1, 15, 56, 1452, 1472, 1473, 8000, 65_000]) {
        // A pattern other than ping's own; ping reports an answer that differs ("wrong data byte"). The first request
        // that fits the guest's link but not the host's must not be fragmented: the error reports the MTU, and the next
        // one gets through.
        const { stdout, status } = await ping("-c", "2", "-i", "0.1", "-s", String(size), "-p", "c3a5")
        expect({ size, status }).toEqual({ size, status: 0 })
        expect(stdout).toContain(`${size + 8} bytes from ${family.server}`)
        expect(stdout).not.toContain("wrong data")
      }
    })

    testWith("ping")("sequence numbers arrive in order, with 20 pings a second", async () => {
      const { stdout } = await ping("-c", "20", "-i", "0.05")
      const sequence = [...stdout.matchAll(/icmp_seq=(\d+)/g)].map(([, number]) => Number(number))
      expect(sequence).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
    })

    testWith("ping")("several pings at once, each with an identifier of its own, get their own answers", async () => {
      const identifiers = [1, 2, 4711, 65_535]
      const results = await Promise.all(identifiers.map((id) => ping("-c", "3", "-i", "0.1", "-e", String(id))))
      for (const { stdout } of results) expect(stdout).toContain("3 received, 0% packet loss")
    })

    testWith("ping")("the guest's hop limit is honoured, and the router's answer arrives", async () => {
      const expired = await ping("-c", "1", "-t", "1")
      expect(expired.status).toBe(1)
      expect(expired.stdout).toMatch(/From \S+ icmp_seq=1 Time (to live )?exceeded/)
      expect(expired.stdout).toContain(`From ${family.gateway} `)
      expect((await ping("-c", "1", "-t", "2")).status).toBe(0)
    })

    testWith("ping")("a request that may not be fragmented brings the MTU of the way", async () => {
      // Without and with the headers of IP and ICMP.
      const largest = 1500 - (family.version === 4 ? 28 : 48)
      expect((await ping("-c", "1", "-M", "do", "-s", String(largest))).status).toBe(0)
      const { stdout, stderr, status } = await ping("-c", "1", "-M", "do", "-s", String(largest + 1))
      expect(status).toBe(1)
      expect(stdout + stderr).toMatch(/mtu ?[:=] ?1500/)
    })

    testWith("ping")("what is unreachable for the host is reported to the guest", async () => {
      const { stdout, status } = await running.guest.run(["ping", "-n", "-c", "1", "-W", "5", family.unreachable])
      expect(status).toBe(1)
      expect(stdout).toContain("nreachable")
    })

    testWith("traceroute")("traceroute with echo requests shows the router and the goal", async () => {
      expect(await hops(["-I"])).toEqual([family.gateway, family.server])
    })

    testWith("traceroute")("traceroute with datagrams shows the router and the goal", async () => {
      expect(await hops([])).toEqual([family.gateway, family.server])
    })

    testWith("traceroute")("traceroute with connections shows the router and the goal", async () => {
      expect(await hops(["-T", "-p", String(CLOSED_PORT)])).toEqual([family.gateway, family.server])
    })

    async function hops(options: readonly string[]): Promise<readonly string[]> {
      const argv = [
        "traceroute",
        `-${family.version}`,
        "-n",
        "-q",
        "1",
        "-w",
        "5",
        "-m",
        "5",
        ...options,
        family.server,
      ]
      const output = await running.guest.must(argv)
      return [...output.matchAll(/^ *\d+ +(\S+)/gm)].map(([, hop = ""]) => hop)
    }
  })
}
