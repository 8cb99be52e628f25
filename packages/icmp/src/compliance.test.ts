import { build } from "@demiflow/testkit"
import { protocolCompliance } from "@demiflow/testkit/compliance"
import { describe } from "vitest"
import { icmp } from "./index.ts"

describe("icmp", () =>
  protocolCompliance(() => ({
    plugin: icmp(),
    samples: ({ v4, v6, number }) =>
      [1, 2].flatMap((sequence) => [
        [build.ip(v4, "198.51.100.7"), build.echoRequest(4, number, sequence), build.payload("anybody there?")],
        [build.ip(v6, "2001:db8:1::7"), build.echoRequest(6, number, sequence), build.payload("anybody there?")],
      ]),
  })))
