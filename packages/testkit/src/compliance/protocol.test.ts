import { describe } from "vitest"
import * as build from "../packets/build.ts"
import { payload } from "../packets/layer.ts"
import { mirror } from "../test-support/mirror.ts"
import { protocolCompliance } from "./protocol.ts"

const SERVER_V4 = "198.51.100.7"
const SERVER_V6 = "2001:db8:1::7"

describe("a protocol in a few lines", () =>
  protocolCompliance(() => ({
    plugin: mirror,
    samples: ({ v4, v6 }) =>
      [build.ip(v4, SERVER_V4, 64, 253), build.ip(v6, SERVER_V6, 64, 253)].map((network) => [
        network,
        payload("hello"),
      ]),
  })))
