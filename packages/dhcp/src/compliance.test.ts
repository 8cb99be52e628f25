import { Address } from "@demiflow/core"
import { build, payload } from "@demiflow/testkit"
import { protocolCompliance } from "@demiflow/testkit/compliance"
import { describe } from "vitest"
import { dhcpv4, dhcpv6 } from "./index.ts"
import { DHCPV4_CAPTURES } from "./v4/captures.fixture.ts"
import { DHCPV6_CAPTURES } from "./v6/captures.fixture.ts"

const guestAddress = Address.parse("192.0.2.2")
const serverAddress = Address.parse("192.0.2.1")
const bytes = (hexadecimal: string) => payload(new Uint8Array(Buffer.from(hexadecimal, "hex")))

describe("DHCPv4", () =>
  protocolCompliance(() => ({
    plugin: dhcpv4({ guestAddress, prefixLength: 24, serverAddress, gateway: serverAddress }),
    // "Inform" names an address that the client has from elsewhere.
    answeredAt: () => [guestAddress, Address.parse("172.17.2.32")],
    // One for each kind of answer.
    samples: () =>
      (
        ["udhcpcDiscoverWithNames", "dhclientReboot", "windowsRequest", "oldWindowsInform", "networkdRelease"] as const
      ).map((name) => [
        build.ipv4({ source: "0.0.0.0", target: "255.255.255.255" }),
        build.udp({ sourcePort: 68, targetPort: 67 }),
        bytes(DHCPV4_CAPTURES[name]),
      ]),
  })))

describe("DHCPv6", () =>
  protocolCompliance(() => ({
    plugin: dhcpv6({ guestAddress: Address.parse("2001:db8::2") }),
    samples: ({ linkLocal }) =>
      (
        [
          "networkdSolicit",
          "dhclientRequest",
          "dhclientConfirm",
          "dhcpcdRelease",
          "dhclientInformationRequest",
        ] as const
      ).map((name) => [
        build.ipv6({ source: linkLocal, target: "ff02::1:2" }),
        build.udp({ sourcePort: 546, targetPort: 547 }),
        bytes(DHCPV6_CAPTURES[name]),
      ]),
  })))
