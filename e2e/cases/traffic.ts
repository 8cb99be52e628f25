/** A little of everything, to see that a path still works. */
import { expect } from "vitest"
import type { Place } from "../harness/places.ts"
import { tcpClient, udpClient } from "../harness/servers.ts"
import { families } from "../harness/topology.ts"

/** Against the world's TCP and UDP servers. */
export async function expectTraffic(guest: Place): Promise<void> {
  for (const family of families) {
    const request = { scenario: "download", bytes: 1_000_000, seed: 71 }
    expect(await tcpClient(guest, family, request)).toMatchObject({ intact: true })
    expect(await udpClient(guest, family, { scenario: "sizes", sizes: [1000] })).toEqual({ intact: [1000] })
  }
}
