/** Datagrams of every size both ways, and who may answer. */
import { expect, test } from "vitest"
import { CLOSED_PORT, udpClient } from "../harness/servers.ts"
import { overBoth } from "../harness/topology.ts"
import type { Running } from "./running.ts"

const sizes = [0, 1, 2, 1400, 1452, 1453, 1472, 1473, 9000, 65_507]

/** Against the world's UDP server. */
export function testDatagrams(running: Running): void {
  overBoth((family) => {
    // The guest's own fragments are reassembled, and answers over the MTU are fragmented towards it.
    test("datagrams of all sizes come back as they went", async () => {
      expect(await udpClient(running.guest, family, { scenario: "sizes", sizes })).toEqual({ intact: sizes })
    })

    test("large answers to small questions arrive", async () => {
      expect(await udpClient(running.guest, family, { scenario: "answers", sizes })).toEqual({ intact: sizes })
    })

    // RFC 4787, REQ-8: a TFTP server answers from a port of its own.
    test("the correspondent that was asked is heard from any of its ports, and nobody else is", async () => {
      const { got } = await udpClient<{ got: string[] }>(running.guest, family, { scenario: "strangers" })
      expect(new Set(got)).toEqual(new Set(["from another port", "from the one that was asked"]))
    })

    test("200 sockets at once all get their own answer", async () => {
      expect(await udpClient(running.guest, family, { scenario: "many", sockets: 200 })).toEqual({ answered: 200 })
    })

    test("a closed port is refused", async () => {
      const request = { scenario: "error", port: CLOSED_PORT }
      expect(await udpClient(running.guest, family, request)).toEqual({ code: "ECONNREFUSED" })
    })
  }, running.families)
}
