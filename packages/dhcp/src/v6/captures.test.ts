import { Address, MacAddress } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { DHCPV6_CAPTURES, type Dhcpv6Capture } from "./captures.fixture.ts"
import { type Dhcpv6Message, emitDhcpv6, parseDhcpv6 } from "./packet.ts"
import { answerDhcpv6, type Dhcpv6Lease, serverIdentifier } from "./server.ts"
import { Dhcpv6Option as Option, Dhcpv6MessageType as Type } from "./wire.ts"

const { advertise, reply } = Type
// Our Ethernet address in the captures.
const server = serverIdentifier(MacAddress.parse("9a:55:9a:55:9a:55"))
const lease: Dhcpv6Lease = {
  guestAddress: Address.parse("2001:db8::2"),
  nameServers: [Address.parse("2001:db8::53")],
  searchDomains: ["example.com", "example.org"],
  fqdn: "guest.example.com",
}
const NAME = "056775657374076578616d706c6503636f6d00"
/** Configured values that clients request, by option. */
const CONFIGURED: ReadonlyMap<number, string> = new Map([
  [Option.nameServers, "20010db8000000000000000000000053"],
  [Option.domainList, "076578616d706c6503636f6d00076578616d706c65036f726700"],
])
const FOREVER = "ffffffff"
const ASSIGNED = `${FOREVER}${FOREVER}0005001820010db8000000000000000000000002${FOREVER}${FOREVER}`

const hex = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString("hex")

function capture(name: Dhcpv6Capture): Dhcpv6Message {
  const result = parseDhcpv6(Buffer.from(DHCPV6_CAPTURES[name], "hex"))
  if (result.kind !== "message") throw new Error(result.reason)
  return result.message
}

/** Returns the answer as the client reads it from the wire: its type, and the values of its options by code. */
function answerTo(name: Dhcpv6Capture) {
  const answer = answerDhcpv6(capture(name), lease, server)
  if (answer.kind !== "reply") throw new Error(answer.kind)
  const target = new Uint8Array(1232)
  const bytes = target.subarray(0, emitDhcpv6(answer.type, answer.transactionId, answer.options, target))
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const options = new Map<number, string>()
  for (let position = 4; position < bytes.length; ) {
    const end = position + 4 + view.getUint16(position + 2)
    options.set(view.getUint16(position), Buffer.from(bytes.subarray(position + 4, end)).toString("hex"))
    position = end
  }
  return { type: view.getUint8(0), transactionId: view.getUint32(0) & 0xffffff, options }
}

describe("clients get their address and what they asked for", () => {
  test.each([
    ["dhclientSolicit", advertise],
    ["dhclientRequest", reply],
    ["dhcpcdRapidSolicit", reply],
    ["dhcpcdSolicit", advertise],
    ["dhcpcdRequest", reply],
    ["dhcpcdRenew", reply],
    ["dhcpcdRebind", reply],
    ["networkdRapidSolicit", reply],
    ["networkdSolicit", advertise],
    ["networkdRequest", reply],
    ["networkManagerSolicit", reply],
    ["windowsSolicit", advertise],
  ] as [Dhcpv6Capture, number][])("%s", (name, expected) => {
    const request = capture(name)
    const { type, transactionId, options } = answerTo(name)
    expect([type, transactionId]).toEqual([expected, request.transactionId])
    expect(options.get(Option.serverIdentifier)).toBe(hex(server))
    expect(options.get(Option.clientIdentifier)).toBe(hex(request.clientIdentifier))
    const identity = request.associations[0].identity.toString(16).padStart(8, "0")
    expect(options.get(Option.identityAssociation)).toBe(`${identity}${ASSIGNED}`)
    expect(options.has(Option.rapidCommit)).toBe(request.rapidCommit)
    expect(options.get(Option.preference)).toBe(type === advertise ? "ff" : undefined)
    for (const [code, value] of CONFIGURED) {
      const isAsked = request.requestedOptions!.includes(code)
      expect([code, options.get(code)]).toEqual([code, isAsked ? value : undefined])
    }
    expect(options.has(Option.statusCode)).toBe(false)
  })

  test("in parameters alone, if they ask for those", () => {
    const { type, options } = answerTo("dhclientInformationRequest")
    expect([type, options.has(Option.identityAssociation)]).toEqual([reply, false])
    for (const [code, value] of CONFIGURED) expect(options.get(code)).toBe(value)
  })
})

test("a prefix that is asked for as well there is none of", () => {
  for (const name of ["networkdRapidSolicit", "networkdSolicit"] as const) {
    const identity = capture(name).associations[1].identity.toString(16).padStart(8, "0")
    expect(answerTo(name).options.get(Option.prefixDelegation)).toBe(`${identity}${"0".repeat(16)}000d00020006`)
  }
})

test.each(["dhclientConfirm", "dhcpcdConfirm", "dhclientRelease", "dhcpcdRelease"] as const)("%s succeeds", (name) => {
  const { type, options } = answerTo(name)
  expect([type, options.get(Option.statusCode), options.has(Option.identityAssociation)]).toEqual([
    reply,
    "0000",
    false,
  ])
})

test.each([
  ["dhclientSolicit", `04${NAME}`],
  ["dhcpcdRapidSolicit", `06${NAME}`],
  ["dhcpcdSolicit", `04${NAME}`],
  ["networkdSolicit", `06${NAME}`],
  ["networkManagerSolicit", `06${NAME}`],
  ["windowsSolicit", `04${NAME}`],
] as const)("%s: its name, and that nobody updates the DNS (RFC 4704)", (name, value) => {
  expect(answerTo(name).options.get(Option.clientFqdn)).toBe(value)
})
