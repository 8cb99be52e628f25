/** Datagrams of every size both ways, and the ends that may answer. */
import { expect, test } from "vitest"
import { CLOSED_PORT, udpClient } from "../harness/servers.ts"
import { overBoth } from "../harness/topology.ts"
import type { Running } from "./running.ts"

const sizes = [0, 1, 2, 1400, 1452, 1453, 1472, 1473, 9000, 65_507]

/**
 * Against a UDP server. `isThroughTap`: the client is behind our link, where we filter strangers; elsewhere its kernel
 * does.
 */
export function testDatagrams(running: Running, isThroughTap = true): void {
  overBoth((family) => {
    // The guest's own fragments are reassembled, and answers over the MTU are fragmented towards it.
    test("datagrams of all sizes come back as they went", async () => {
      expect(await udpClient(running.guest, family, { scenario: "sizes", sizes })).toEqual({ intact: sizes })
    })

    test("large answers to small questions arrive", async () => {
      expect(await udpClient(running.guest, family, { scenario: "answers", sizes })).toEqual({ intact: sizes })
    })

    // RFC 4787, REQ-8: a TFTP server answers from a port of its own.
    const heard = isThroughTap ? ["from another port", "from the one that was asked"] : ["from the one that was asked"]
    test(`only the correspondent that was asked is heard${isThroughTap ? ", from any of its ports" : ""}`, async () => {
      const { got } = await udpClient<{ got: string[] }>(running.guest, family, { scenario: "strangers" })
      expect(got.sort()).toEqual(heard)
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
