import { build } from "@demiflow/testkit"
import { protocolCompliance } from "@demiflow/testkit/compliance"
import { describe } from "vitest"
import { tcp } from "./index.ts"

const SERVER_V4 = "198.51.100.7"
const SERVER_V6 = "2001:db8:1::7"

describe("tcp", () =>
  protocolCompliance(() => ({
    plugin: tcp({ holdPoolSize: 1 << 20 }),
    prepare: ({ sockets }) => sockets.world.listen(80),
    samples: ({ v4, v6, number }) =>
      [build.ip(v4, SERVER_V4), build.ip(v6, SERVER_V6)].flatMap((network) => [
        [network, build.tcp({ sourcePort: 6_000 + number, targetPort: 80, flags: "S", options: { mss: 1_000 } })],
        [network, build.tcp({ sourcePort: 6_100 + number, targetPort: 81, flags: "S", options: { windowScale: 3 } })],
      ]),
  })))
