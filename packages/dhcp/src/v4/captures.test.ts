import { Address } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { DHCPV4_CAPTURES, type Dhcpv4Capture } from "./captures.fixture.ts"
import type { Dhcpv4Lease } from "./lease-options.ts"
import { type Dhcpv4Message, emitDhcpv4, parseDhcpv4 } from "./packet.ts"
import { answerDhcpv4, type Dhcpv4Destination } from "./server.ts"
import { Dhcpv4Option as Option, Dhcpv4MessageType as Type } from "./wire.ts"

const { offer, acknowledge, refuse } = Type
const lease: Dhcpv4Lease = {
  guestAddress: Address.parse("192.0.2.2"),
  prefixLength: 24,
  serverAddress: Address.parse("192.0.2.1"),
  gateway: Address.parse("198.51.100.1"),
  mtu: 65520,
  nameServers: [Address.parse("192.0.2.53")],
  searchDomains: ["example.com", "example.org"],
  hostname: "guest",
  fqdn: "guest.example.com",
}
/** Values of the lease, by option. */
const CONFIGURED: ReadonlyMap<number, string> = new Map([
  [Option.subnetMask, "ffffff00"],
  [Option.router, "c6336401"],
  [Option.nameServers, "c0000235"],
  [Option.hostName, "6775657374"],
  [Option.interfaceMtu, "fff0"],
  [Option.domainSearch, "076578616d706c6503636f6d00076578616d706c65036f726700"],
  [Option.classlessStaticRoutes, "20c63364010000000000c6336401"],
])
const IDENTIFYING = [Option.messageType, Option.serverIdentifier, Option.clientIdentifier] as const

const hex = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString("hex")

function parsed(bytes: Uint8Array): Dhcpv4Message {
  const result = parseDhcpv4(bytes)
  if (result.kind !== "message") throw new Error(result.reason)
  return result.message
}

const capture = (name: Dhcpv4Capture) => parsed(new Uint8Array(Buffer.from(DHCPV4_CAPTURES[name], "hex")))

interface Received {
  readonly message: Dhcpv4Message
  readonly length: number
  readonly destination: Dhcpv4Destination
}

/** Returns the answer as the client reads it from the wire; undefined if there is none. */
function answerTo(name: Dhcpv4Capture, changes: Partial<Dhcpv4Lease> = {}): Received | undefined {
  const answer = answerDhcpv4(capture(name), { ...lease, ...changes })
  if (answer.kind === "refused") throw new Error(answer.reason)
  if (answer.kind === "silent") return undefined
  const target = new Uint8Array(answer.limit)
  const length = emitDhcpv4(answer.header, answer.options, answer.limit, target)
  return { message: parsed(target.subarray(0, length)), length, destination: answer.destination }
}

const typeOf = (received: Received | undefined) => received?.message.options.get(Option.messageType)?.[0]

describe("clients get what they asked for, and their own identifiers back", () => {
  test.each([
    ["udhcpcDiscover", offer],
    ["udhcpcRequest", acknowledge],
    ["udhcpcDiscoverWithNames", offer],
    ["udhcpcRequestWithNames", acknowledge],
    ["udhcpcRenew", acknowledge],
    ["dhclientDiscover", offer],
    ["dhclientRequest", acknowledge],
    ["dhclientReboot", acknowledge],
    ["dhcpcdRapidDiscover", acknowledge],
    ["dhcpcdDiscover", offer],
    ["dhcpcdRequest", acknowledge],
    ["dhcpcdRenew", acknowledge],
    ["dhcpcdRebind", acknowledge],
    ["networkdDiscover", offer],
    ["networkdRequest", acknowledge],
    ["networkdRenew", acknowledge],
    ["networkManagerDiscover", offer],
    ["networkManagerRequest", acknowledge],
    ["windowsDiscover", offer],
    ["oldWindowsDiscover", offer],
  ] as [Dhcpv4Capture, number][])("%s", (name, type) => {
    const request = capture(name)
    const received = answerTo(name)
    expect(typeOf(received)).toBe(type)
    const { message, length, destination } = received!
    expect(message).toMatchObject({
      operation: 2,
      hardwareType: 1,
      hardwareLength: 6,
      transactionId: request.transactionId,
      hardwareAddress: request.hardwareAddress,
      yourAddress: lease.guestAddress,
      clientAddress: request.clientAddress,
    })
    expect(destination).toEqual({ address: lease.guestAddress, port: 68 })
    expect(hex(message.options.get(Option.serverIdentifier))).toBe("c0000201")
    expect(hex(message.options.get(Option.leaseTime))).toBe("ffffffff")
    expect(hex(message.options.get(Option.clientIdentifier))).toBe(hex(request.options.get(Option.clientIdentifier)))
    expect(message.options.has(Option.rapidCommit)).toBe(name === "dhcpcdRapidDiscover")
    for (const [code, value] of CONFIGURED) expect([code, hex(message.options.get(code))]).toEqual([code, value])
    const asked = [...request.options.get(Option.parameterRequestList)!].filter((code) => CONFIGURED.has(code))
    const sent = [...message.options.keys()].filter((code) => asked.includes(code))
    expect([asked.length > 2, sent]).toEqual([true, asked])
    const [high, low] = request.options.get(Option.maximumMessageSize) ?? [0x02, 0x40]
    expect(length + 28).toBeLessThanOrEqual((high << 8) | low)
    expect(length).toBeGreaterThanOrEqual(300)
  })
})

test.each(["udhcpcRelease", "dhcpcdRelease", "networkdRelease", "dhclientDecline"] as const)(
  "%s is not answered",
  (name) => {
    expect(answerTo(name)).toBeUndefined()
  },
)

describe("names, in the form in which the client sends its own (RFC 4702)", () => {
  const text = "67756573742e6578616d706c652e636f6d"
  const wire = "056775657374076578616d706c6503636f6d00"

  test.each([
    ["udhcpcDiscoverWithNames", `0affff${text}`],
    ["windowsRequest", `08ffff${text}`],
    ["dhcpcdRapidDiscover", `0effff${wire}`],
    ["dhcpcdDiscover", `0cffff${wire}`],
  ] as const)("%s", (name, value) => {
    const received = answerTo(name, { guestAddress: Address.parse("192.168.4.119") })
    expect(hex(received?.message.options.get(Option.clientFqdn))).toBe(value)
  })
})

describe("Windows", () => {
  test("is asked not to choose an address of its own, if it asks (RFC 2563)", () => {
    expect(hex(answerTo("oldWindowsDiscover")?.message.options.get(Option.autoConfigure))).toBe("00")
    expect(answerTo("windowsDiscover")?.message.options.has(Option.autoConfigure)).toBe(false)
    expect(hex(answerTo("dhcpcdDiscover")?.message.options.get(Option.autoConfigure))).toBe("00")
  })

  test("that comes from another network is refused its address there, and keeps one that is ours", () => {
    const refused = answerTo("windowsRequest")
    expect(typeOf(refused)).toBe(refuse)
    expect([...refused!.message.options.keys()].sort()).toEqual([...IDENTIFYING, Option.message].sort())
    expect(String(refused!.destination.address)).toBe("255.255.255.255")
    const kept = answerTo("windowsRequest", { guestAddress: Address.parse("192.168.4.119") })
    expect([typeOf(kept), String(kept?.message.yourAddress)]).toEqual([acknowledge, "192.168.4.119"])
  })

  test("with an address from elsewhere gets parameters without one", () => {
    const informed = answerTo("oldWindowsInform")
    expect(typeOf(informed)).toBe(acknowledge)
    const { message, destination } = informed!
    expect([message.clientAddress, message.yourAddress].map(String)).toEqual(["172.17.2.32", "0.0.0.0"])
    expect(destination).toEqual({ address: Address.parse("172.17.2.32"), port: 68 })
    expect(message.options.has(Option.leaseTime)).toBe(false)
    for (const [code, value] of CONFIGURED) expect(hex(message.options.get(code))).toBe(value)
  })
})
