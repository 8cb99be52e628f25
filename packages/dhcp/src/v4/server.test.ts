import { Address } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { encodeDomainNames } from "../domain-name.ts"
import { DHCPV4_CAPTURES } from "./captures.fixture.ts"
import type { Dhcpv4Lease } from "./lease-options.ts"
import { type Dhcpv4Message, emitDhcpv4, parseDhcpv4 } from "./packet.ts"
import { answerDhcpv4, type Dhcpv4Answer } from "./server.ts"
import { BOOT_FILE, BOOT_FILE_SIZE, Dhcpv4Option as Option, Dhcpv4MessageType as Type } from "./wire.ts"

const lease: Dhcpv4Lease = {
  guestAddress: Address.parse("192.0.2.2"),
  prefixLength: 24,
  serverAddress: Address.parse("192.0.2.1"),
  gateway: Address.parse("192.0.2.1"),
  mtu: 65520,
  nameServers: [Address.parse("192.0.2.53"), Address.parse("192.0.2.54")],
  searchDomains: ["eng.apple.com", "marketing.apple.com"],
}

function capture(name: keyof typeof DHCPV4_CAPTURES): Dhcpv4Message {
  const result = parseDhcpv4(Buffer.from(DHCPV4_CAPTURES[name], "hex"))
  if (result.kind !== "message") throw new Error(result.reason)
  return result.message
}

/** Returns a message of dhclient with other options: `undefined` removes one. */
function request(options: Record<number, number[] | undefined>, fields: Partial<Dhcpv4Message> = {}): Dhcpv4Message {
  const base = capture("dhclientDiscover")
  const changed = new Map(base.options)
  for (const [code, value] of Object.entries(options)) {
    if (value === undefined) changed.delete(Number(code))
    else changed.set(Number(code), Uint8Array.from(value))
  }
  return { ...base, ...fields, options: changed }
}

function reply(message: Dhcpv4Message, changes: Partial<Dhcpv4Lease> = {}) {
  const answer = answerDhcpv4(message, { ...lease, ...changes })
  if (answer.kind !== "reply") throw new Error(JSON.stringify(answer))
  const options = new Map(answer.options.map(({ code, value }) => [code, [...value]]))
  return { ...answer, options, type: options.get(Option.messageType)?.[0] }
}

const refusal = (answer: Dhcpv4Answer) => (answer.kind === "refused" ? answer.reason : answer.kind)
const at = (address: string, port = 68) => ({ address: Address.parse(address), port })

describe("an offer", () => {
  // RFC 2131 4.3.1 (type), RFC 2131 4.3.1 (server), RFC 2131 4.3.1 (lease)
  test("says what is configured", () => {
    const { header, type, options, destination, description } = reply(capture("dhclientDiscover"))
    expect([type, String(header.yourAddress), description]).toEqual([Type.offer, "192.0.2.2", "offer to discover"])
    expect(destination).toEqual(at("192.0.2.2"))
    expect(options.get(Option.subnetMask)).toEqual([255, 255, 255, 0])
    expect(options.get(Option.router)).toEqual([192, 0, 2, 1])
    expect(options.get(Option.nameServers)).toEqual([192, 0, 2, 53, 192, 0, 2, 54])
    expect(options.get(Option.interfaceMtu)).toEqual([0xff, 0xf0])
    expect(options.get(Option.leaseTime)).toEqual([255, 255, 255, 255])
    expect(options.get(Option.serverIdentifier)).toEqual([192, 0, 2, 1])
    expect(options.has(Option.classlessStaticRoutes)).toBe(false)
  })

  // RFC 2131 4.3.1 (copied), RFC 6842 3, RFC 2131 4.3.1 (client-address), RFC 3046 2.2
  test("repeats what identifies the exchange, and nothing else", () => {
    const message = request(
      { [Option.clientIdentifier]: [1, 2, 3], [Option.relayAgentInformation]: [1, 1, 7] },
      { seconds: 9, hops: 2, clientAddress: Address.parse("192.0.2.9"), nextServer: Address.parse("192.0.2.8") },
    )
    const { header, options } = reply(message)
    expect(header).toMatchObject({ operation: 2, transactionId: message.transactionId, hops: 0, seconds: 0 })
    expect(header.hardwareAddress).toEqual(message.hardwareAddress)
    expect([header.clientAddress, header.nextServer].map(String)).toEqual(["0.0.0.0", "0.0.0.0"])
    expect(options.get(Option.clientIdentifier)).toEqual([1, 2, 3])
    expect(options.get(Option.relayAgentInformation)).toEqual([1, 1, 7])
  })
})

describe("requests, by the state of the client (RFC 2131, section 4.3.2)", () => {
  const kind = [Type.request]

  // RFC 2131 4.3.2 (selecting)
  test("selecting another server: silence", () => {
    const message = request({ 53: kind, 54: [192, 0, 2, 99], 50: [192, 0, 2, 2] })
    expect(answerDhcpv4(message, lease).kind).toBe("silent")
  })

  // RFC 2131 4.1 (refusal), RFC 2131 4.3.2 (refusal)
  test("selecting us, with another address: refused, to everybody", () => {
    const { type, header, options, destination } = reply(request({ 53: kind, 54: [192, 0, 2, 1], 50: [192, 0, 2, 3] }))
    expect([type, String(header.yourAddress)]).toEqual([Type.refuse, "0.0.0.0"])
    expect(destination).toEqual(at("255.255.255.255"))
    expect([...options.keys()].sort()).toEqual([53, 54, 56])
  })

  // RFC 2131 4.3.2 (refusal)
  test("rebooting with an address of another network: refused", () => {
    expect(reply(request({ 53: kind, 50: [10, 0, 0, 7] })).type).toBe(Type.refuse)
  })

  // RFC 2131 4.1 (client), RFC 2131 4.3.1 (client-address)
  test("renewing: acknowledged at the address that it has", () => {
    const clientAddress = Address.parse("192.0.2.2")
    const { type, header, destination } = reply(request({ 53: kind }, { clientAddress }))
    expect([type, String(header.clientAddress), String(header.yourAddress)]).toEqual([5, "192.0.2.2", "192.0.2.2"])
    expect(destination).toEqual(at("192.0.2.2"))
  })

  test("renewing another address: refused", () => {
    const { type, destination } = reply(request({ 53: kind }, { clientAddress: Address.parse("192.0.2.7") }))
    expect(type).toBe(Type.refuse)
    expect(destination).toEqual(at("255.255.255.255"))
  })

  test("for no address at all: malformed", () => {
    expect(refusal(answerDhcpv4(request({ 53: kind }), lease))).toBe("no address")
  })
})

describe("where replies go (RFC 2131, section 4.1)", () => {
  // RFC 2131 4.1 (broadcast)
  test("to everybody, if the client says that it must be so", () => {
    expect(reply(request({}, { flags: 0x8000 })).destination).toEqual(at("255.255.255.255"))
  })

  // RFC 2131 4.1 (relay), RFC 2131 4.3.2 (relayed-refusal)
  test("to a relay agent, with the broadcast flag on a refusal", () => {
    const relayAddress = Address.parse("192.0.2.100")
    const offer = reply(request({}, { relayAddress }))
    expect([offer.destination, offer.header.relayAddress]).toEqual([at("192.0.2.100", 67), relayAddress])
    const refused = reply(request({ 53: [Type.request], 50: [10, 0, 0, 7] }, { relayAddress }))
    expect([refused.destination, refused.header.flags]).toEqual([at("192.0.2.100", 67), 0x8000])
  })
})

describe("other messages", () => {
  // RFC 2131 4.3.5 (address), RFC 2131 4.3.5 (lease), RFC 2131 4.3.5 (destination)
  test("inform: parameters without address and lease (RFC 2131, section 4.3.5)", () => {
    const clientAddress = Address.parse("10.9.9.9")
    const relayAddress = Address.parse("192.0.2.100")
    const inform = request({ 53: [Type.inform] }, { clientAddress, relayAddress, flags: 0x8000 })
    const { type, header, options, destination } = reply(inform)
    expect([type, String(header.yourAddress), String(header.clientAddress)]).toEqual([5, "0.0.0.0", "10.9.9.9"])
    expect(options.has(Option.leaseTime)).toBe(false)
    expect(options.has(Option.nameServers)).toBe(true)
    expect(destination).toEqual(at("10.9.9.9"))
    expect(refusal(answerDhcpv4(request({ 53: [Type.inform] }), lease))).toBe("no address")
  })

  // RFC 2131 4.3.4, RFC 2131 4.3.3
  test("release and decline: no answer", () => {
    expect(answerDhcpv4(request({ 53: [Type.release] }), lease)).toEqual({ kind: "silent", description: "release" })
    expect(answerDhcpv4(request({ 53: [Type.decline] }), lease)).toMatchObject({ kind: "silent", isWarning: true })
  })

  test.each([Type.offer, Type.acknowledge, Type.refuse, 0, 9, 255])("type %i is none of a client's", (type) => {
    expect(refusal(answerDhcpv4(request({ 53: [type] }), lease))).toBe("message type")
  })

  // RFC 2131 3 (operation)
  test("a reply, options of the wrong length", () => {
    expect(refusal(answerDhcpv4(request({}, { operation: 2 }), lease))).toBe("not a request")
    for (const options of [
      { 53: [1, 1] },
      { 53: [] },
      { 50: [1, 2, 3] },
      { 54: [] },
      { 57: [1] },
      { 81: [1, 2] },
      { 116: [] },
    ]) {
      expect(refusal(answerDhcpv4(request(options), lease))).toBe("option value")
    }
  })
})

describe("options", () => {
  // RFC 4039 4
  test("rapid commit: acknowledged at once (RFC 4039)", () => {
    const { type, options } = reply(request({ [Option.rapidCommit]: [] }))
    expect([type, options.get(Option.rapidCommit)]).toEqual([Type.acknowledge, []])
    expect(reply(request({})).options.has(Option.rapidCommit)).toBe(false)
  })

  // RFC 2563 2.3
  test("auto-configuration: not with an address to give (RFC 2563)", () => {
    expect(reply(request({ [Option.autoConfigure]: [1] })).options.get(Option.autoConfigure)).toEqual([0])
    expect(reply(request({})).options.has(Option.autoConfigure)).toBe(false)
  })

  test.each([
    ["576 bytes", undefined, undefined, 548],
    ["what the client takes", [0x05, 0xdc], undefined, 1472],
    ["what the link carries", [0x05, 0xdc], 700, 700],
  ])("search domains beyond %s are left out, the last ones first", (_what, size, longest, limit) => {
    const searchDomains = Array.from({ length: 90 }, (_, index) => `domain-number-${index}.example`)
    const answer = answerDhcpv4(request({ 57: size }), { ...lease, searchDomains }, longest)
    if (answer.kind !== "reply") throw new Error(answer.kind)
    expect(answer.limit).toBe(limit)
    const target = new Uint8Array(limit)
    const length = emitDhcpv4(answer.header, answer.options, limit, target)
    const parsed = parseDhcpv4(target.subarray(0, length))
    const sent = parsed.kind === "message" ? parsed.message.options : new Map<number, Uint8Array>()
    const sizes = searchDomains.map((_, index) => encodeDomainNames(searchDomains.slice(0, index + 1), true).length)
    const value = sent.get(Option.domainSearch)!
    const count = sizes.indexOf(value.length) + 1
    expect(value).toEqual(encodeDomainNames(searchDomains.slice(0, count), true))
    // One more would not have fitted.
    expect(limit - length).toBeLessThan(sizes[count] - sizes[count - 1] + 2)
    expect([sent.has(Option.router), sent.has(Option.overload)]).toEqual([true, false])
  })

  test("lists share the room, and only search domains get a long option (RFC 3397)", () => {
    const nameServers = Array.from({ length: 100 }, (_, index) => Address.fromV4(0xc0000200 + index))
    const searchDomains = Array.from({ length: 90 }, (_, index) => `domain-number-${index}.example`)
    const { options } = reply(request({ 57: [0x05, 0xdc] }), { nameServers, searchDomains })
    expect(options.get(Option.nameServers)).toHaveLength(252)
    expect(options.get(Option.domainSearch)?.length).toBeGreaterThan(800)
  })

  test("name servers that have no room are left out, not the option", () => {
    const nameServers = Array.from({ length: 100 }, (_, index) => Address.fromV4(0xc0000200 + index))
    const answer = answerDhcpv4(request({ 57: undefined }), { ...lease, hostname: "x".repeat(63), nameServers })
    if (answer.kind !== "reply") throw new Error(answer.kind)
    const target = new Uint8Array(answer.limit)
    const parsed = parseDhcpv4(target.subarray(0, emitDhcpv4(answer.header, answer.options, answer.limit, target)))
    if (parsed.kind !== "message") throw new Error(parsed.reason)
    expect(parsed.message.options.get(Option.nameServers)?.length).toBeGreaterThan(100)
    expect(parsed.message.options.has(Option.overload)).toBe(false)
  })

  test("search domains are compressed (RFC 3397)", () => {
    const bytes = Buffer.from(reply(request({})).options.get(Option.domainSearch)!)
    expect(bytes.toString("latin1")).toBe("\x03eng\x05apple\x03com\0\x09marketing\xc0\x04")
  })

  test("a gateway outside of the subnet comes with a route to it (RFC 3442)", () => {
    const { options } = reply(request({}), { gateway: Address.parse("10.0.0.1"), prefixLength: 32 })
    expect(options.get(Option.classlessStaticRoutes)).toEqual([32, 10, 0, 0, 1, 0, 0, 0, 0, 0, 10, 0, 0, 1])
    expect(options.get(Option.router)).toEqual([10, 0, 0, 1])
    expect(options.get(Option.subnetMask)).toEqual([255, 255, 255, 255])
  })

  test("what isn't configured isn't sent", () => {
    const bare = { guestAddress: lease.guestAddress, prefixLength: 0, serverAddress: lease.serverAddress }
    const answer = answerDhcpv4(request({}), bare)
    const codes = answer.kind === "reply" ? answer.options.map(({ code }) => code) : []
    expect(codes).toEqual([53, 54, 51, 1])
  })

  // RFC 2132 9.8
  test("what the client asks for comes first, in its order (RFC 2132, section 9.8)", () => {
    const message = request({ [Option.parameterRequestList]: [119, 6, 1] })
    expect([...reply(message).options.keys()]).toEqual([53, 54, 51, 119, 6, 1, 3, 26])
  })

  // RFC 2131 2, RFC 2132 9.10
  test("the client's limit for messages counts, unless it is below what all take", () => {
    expect(reply(request({})).limit).toBe(576 - 28)
    expect(reply(request({ 57: [0x05, 0xdc] })).limit).toBe(1500 - 28)
    expect(reply(request({ 57: [0, 10] })).limit).toBe(576 - 28)
    // The link may carry less than the client accepts, but the size that all accept is sent in any case.
    expect(answerDhcpv4(request({ 57: [0x05, 0xdc] }), lease, 1000)).toMatchObject({ limit: 1000 })
    expect(answerDhcpv4(request({ 57: [0x05, 0xdc] }), lease, 100)).toMatchObject({ limit: 576 - 28 })
  })

  test("names", () => {
    const named = { hostname: "guest", fqdn: "guest.example" }
    const { options } = reply(request({}), named)
    expect(Buffer.from(options.get(Option.hostName)!).toString()).toBe("guest")
    const fqdn = (asked: number[] | undefined) =>
      Buffer.from(reply(request({ 81: asked }), named).options.get(Option.clientFqdn)!).toString("latin1")
    const wire = "\x05guest\x07example\0"
    // Without the option: wire form, no update. With a request that we update: overridden. In text: answered in text.
    expect(fqdn(undefined)).toBe(`\x0c\xff\xff${wire}`)
    expect(fqdn([0x05, 0, 0])).toBe(`\x0e\xff\xff${wire}`)
    expect(fqdn([0x00, 0, 0])).toBe("\x08\xff\xffguest.example")
  })
})

test("whatever can be read is answered or refused, and what is answered can be written", () => {
  const options = fc.dictionary(fc.nat(255).map(String), fc.array(fc.nat(255), { maxLength: 20 }))
  const address = fc.integer().map((value) => Address.fromV4(value))
  fc.assert(
    fc.property(options, fc.nat(10), address, address, (changes, type, clientAddress, relayAddress) => {
      const message = request({ 53: [type], ...changes }, { clientAddress, relayAddress })
      const answer = answerDhcpv4(message, lease)
      if (answer.kind !== "reply") return
      const target = new Uint8Array(answer.limit)
      const length = emitDhcpv4(answer.header, answer.options, answer.limit, target)
      const read = parseDhcpv4(target.subarray(0, length))
      const isComplete = read.kind === "message" && read.message.options.has(Option.serverIdentifier)
      expect([length >= 300, isComplete]).toEqual([true, true])
    }),
  )
})

// RFC 1534 2
describe("a BOOTP client", () => {
  /** A BOOTP request as in RFC 951: 300 bytes, with anything behind the addresses and names. */
  function bootp(vendor: number[], fields: Partial<Record<number, number>> = {}): Dhcpv4Message {
    const bytes = new Uint8Array(300)
    bytes.set([1, 1, 6, 0, 1, 2, 3, 4])
    bytes.set([2, 0, 0, 0, 0, 1], 28)
    bytes.set(vendor, 236)
    for (const [at, value] of Object.entries(fields)) bytes[Number(at)] = value ?? 0
    const parsed = parseDhcpv4(bytes)
    if (parsed.kind !== "message") throw new Error(parsed.reason)
    return parsed.message
  }
  const MAGIC = [99, 130, 83, 99]

  test.each([
    ["with the cookie", [...MAGIC, 255]],
    ["with options of its own", [...MAGIC, 12, 1, 120, 255]],
    ["with nothing there", []],
    ["with something else there", [1, 2, 3, 4, 5]],
  ])("%s gets its address, and no option that is DHCP's", (_what, vendor) => {
    const { header, options, destination, limit, description } = reply(bootp(vendor))
    expect([String(header.yourAddress), limit, description]).toEqual(["192.0.2.2", 300, "reply to BOOTP request"])
    expect(destination).toEqual(at("192.0.2.2"))
    expect([...options.keys()]).toEqual([Option.subnetMask, Option.router, Option.nameServers])
  })

  // RFC 951 7.3
  test("that has its address is given none; one that can't receive unicast gets a broadcast", () => {
    const known = reply(bootp(MAGIC, { 12: 192, 14: 2, 15: 9 }))
    expect([String(known.header.yourAddress), String(known.header.clientAddress)]).toEqual(["0.0.0.0", "192.0.2.9"])
    expect(known.destination).toEqual(at("192.0.2.9"))
    expect(reply(bootp(MAGIC, { 10: 0x80 })).destination).toEqual(at("255.255.255.255"))
  })

  test("gets as many name servers as 64 bytes hold, and the message has 300", () => {
    const nameServers = Array.from({ length: 40 }, (_, index) => Address.fromV4(0xc0000200 + index))
    const answer = answerDhcpv4(bootp(MAGIC), { ...lease, nameServers, hostname: "left-out" })
    if (answer.kind !== "reply") throw new Error(answer.kind)
    const target = new Uint8Array(300)
    expect(emitDhcpv4(answer.header, answer.options, answer.limit, target)).toBe(300)
    const parsed = parseDhcpv4(target)
    if (parsed.kind !== "message") throw new Error(parsed.reason)
    expect(parsed.message.options.get(Option.nameServers)).toHaveLength(44)
    // The boot file field is the client's: a BOOTP client knows no options there (RFC 2132, section 9.3).
    expect([...parsed.message.options.keys()]).toEqual([Option.subnetMask, Option.router, Option.nameServers])
    expect(target.subarray(BOOT_FILE, BOOT_FILE + BOOT_FILE_SIZE).every((byte) => byte === 0)).toBe(true)
  })

  test("is none that is shorter, without the cookie", () => {
    expect(parseDhcpv4(new Uint8Array(299))).toEqual({ kind: "malformed", reason: "no magic cookie" })
  })
})
