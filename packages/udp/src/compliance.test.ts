import { build } from "@demiflow/testkit"
import { protocolCompliance } from "@demiflow/testkit/compliance"
import { describe } from "vitest"
import { udp } from "./index.ts"

describe("udp", () =>
  protocolCompliance(() => ({
    plugin: udp(),
    prepare: ({ sockets }) => {
      sockets.world.echo(53)
    },
    samples: ({ v4, v6, number }) =>
      [build.ip(v4, "198.51.100.7"), build.ip(v6, "2001:db8:1::7")].flatMap((network) =>
        // A question that is answered, the same again, and one that gets an error.
        [53, 53, 9].map((targetPort) => [
          network,
          build.udp({ sourcePort: 40_000 + number, targetPort }),
          build.payload("anybody there?"),
        ]),
      ),
  })))
