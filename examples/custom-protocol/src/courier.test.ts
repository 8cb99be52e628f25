import { build, payload } from "@demiflow/testkit"
import { protocolCompliance } from "@demiflow/testkit/compliance"
import { describe } from "vitest"
import { COURIER_PROTOCOL, courier } from "./courier.ts"

// The suite that demiflow's own protocols pass.
describe("courier", () =>
  protocolCompliance(() => ({
    plugin: courier(),
    prepare: ({ host }) => host.world.echo(7),
    samples: ({ v4, v6, number }) => [
      [
        build.ip(v4, "198.51.100.7", 64, COURIER_PROTOCOL),
        payload(`${String.fromCharCode(0x20, number, 0, 7)}a letter`),
      ],
      [
        build.ip(v6, "2001:db8:1::7", 64, COURIER_PROTOCOL),
        payload(`${String.fromCharCode(0x20, number, 0, 7)}another letter`),
      ],
      [build.ip(v4, "198.51.100.7", 64, COURIER_PROTOCOL), payload(String.fromCharCode(0x20, number, 0, 9))],
    ],
  })))
