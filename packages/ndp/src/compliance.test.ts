import { Address } from "@demiflow/core"
import { build, payload } from "@demiflow/testkit"
import { protocolCompliance } from "@demiflow/testkit/compliance"
import { describe } from "vitest"
import { ndp } from "./index.ts"

describe("neighbour discovery", () =>
  protocolCompliance(() => ({
    plugin: ndp({
      guestAddress: Address.parse("2001:db8::2"),
      routerAdvertisement: { prefix: Address.parse("2001:db8::2"), nameServers: [Address.parse("2001:db8::53")] },
    }),
    samples: ({ mac, v6, linkLocal }) => {
      // "Source link-layer address" (RFC 4861, section 4.6.1).
      const macBytes = [mac.high >> 8, mac.high, mac.low >> 24, mac.low >> 16, mac.low >> 8, mac.low]
      const option = Uint8Array.of(1, 1, ...macBytes)
      const wanted = Address.parse("2001:db8::77")
      return [
        [
          build.ipv6({ source: linkLocal, target: "ff02::2", hopLimit: 255 }),
          build.icmpv6({ type: 133 }),
          payload(option),
        ],
        [
          build.ipv6({ source: v6, target: "ff02::1:ff00:77", hopLimit: 255 }),
          build.icmpv6({ type: 135 }),
          payload(wanted.toBytes()),
          payload(option),
        ],
      ]
    },
  })))
