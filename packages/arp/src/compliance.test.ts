import { Address } from "@demiflow/core"
import { build } from "@demiflow/testkit"
import { protocolCompliance } from "@demiflow/testkit/compliance"
import { describe } from "vitest"
import { arp } from "./index.ts"

describe("ARP", () =>
  protocolCompliance(() => ({
    plugin: arp({ guestAddress: Address.parse("192.0.2.2"), ourAddresses: [Address.parse("192.0.2.1")] }),
    samples: ({ mac, v4 }) =>
      ["192.0.2.1", "192.0.2.77"].map((targetAddress) => [
        build.arp({ operation: "request", senderMac: mac, senderAddress: v4, targetAddress }),
      ]),
  })))
