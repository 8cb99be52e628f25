import { Address, MacAddress } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { mutatedMessages } from "../mutations.fixture.ts"
import { DHCPV6_CAPTURES } from "./captures.fixture.ts"
import { type Association, type Dhcpv6Message, emitDhcpv6, parseDhcpv6 } from "./packet.ts"
import { answerDhcpv6, type Dhcpv6Answer, type Dhcpv6Lease, type Dhcpv6Reply, serverIdentifier } from "./server.ts"
import { Dhcpv6Option as Option, Dhcpv6MessageType as Type } from "./wire.ts"

const server = serverIdentifier(MacAddress.parse("9a:55:9a:55:9a:55"))
const ours = Address.parse("2001:db8::2")
const lease: Dhcpv6Lease = {
  guestAddress: ours,
  nameServers: [Address.parse("2001:db8::53"), Address.parse("2001:db8::54")],
  searchDomains: ["example.com"],
}

function capture(name: keyof typeof DHCPV6_CAPTURES): Dhcpv6Message {
  const result = parseDhcpv6(Buffer.from(DHCPV6_CAPTURES[name], "hex"))
  if (result.kind !== "message") throw new Error(result.reason)
  return result.message
}

function message(type: number, fields: Partial<Dhcpv6Message> = {}): Dhcpv6Message {
  return { ...capture("dhclientSolicit"), type, ...fields }
}

const association = (...addresses: string[]): Association => ({
  kind: "addresses",
  identity: 7,
  addresses: addresses.map((text) => Address.parse(text)),
})

function replyOf(answer: Dhcpv6Answer): Dhcpv6Reply & { find(code: number): string | undefined } {
  if (answer.kind !== "reply") throw new Error(JSON.stringify(answer))
  const find = (code: number) => {
    const option = answer.options.find((candidate) => candidate.code === code)
    return option && Buffer.from(option.value).toString("hex")
  }
  return { ...answer, find }
}

const reply = (request: Dhcpv6Message, changes: Partial<Dhcpv6Lease> = {}, wasMulticast = true) =>
  replyOf(answerDhcpv6(request, { ...lease, ...changes }, server, wasMulticast))

const refusal = (answer: Dhcpv6Answer) => (answer.kind === "refused" ? answer.reason : answer.kind)

const FOREVER = "ffffffff"
const ourAddress = `00050018${"20010db8000000000000000000000002"}${FOREVER}${FOREVER}`
const ourAssociation = (identity: string) => `${identity}${FOREVER}${FOREVER}${ourAddress}`
const SUCCESS = "0000"

// RFC 8415 11.4
test("our identifier is made of our Ethernet address", () => {
  expect(Buffer.from(server).toString("hex")).toBe("000300019a559a559a55")
})

// RFC 8415 18.3.9 (server), RFC 8415 18.3.9 (client), RFC 8415 21.4
test("a solicit is answered by an advertisement, at the highest preference", () => {
  const solicit = capture("dhclientSolicit")
  const { type, transactionId, description, find } = reply(solicit)
  expect([type, transactionId]).toEqual([Type.advertise, solicit.transactionId])
  expect(description).toBe("received SOLICIT, sending ADVERTISE")
  expect(find(Option.serverIdentifier)).toBe(Buffer.from(server).toString("hex"))
  expect(find(Option.clientIdentifier)).toBe(Buffer.from(solicit.clientIdentifier!).toString("hex"))
  expect(find(Option.identityAssociation)).toBe(ourAssociation("5e005302"))
  expect(find(Option.preference)).toBe("ff")
  expect(find(Option.nameServers)).toBe("20010db800000000000000000000005320010db8000000000000000000000054")
  expect(find(Option.domainList)).toBe(Buffer.from("\x07example\x03com\0").toString("hex"))
})

describe("what a message must have and must not have (RFC 8415, section 16)", () => {
  test.each([
    // RFC 8415 16.2 (client)
    [Type.solicit, { clientIdentifier: undefined }, "no client identifier"],
    // RFC 8415 16.2
    [Type.solicit, { serverIdentifier: server }, "unexpected server identifier"],
    // RFC 8415 16.5
    [Type.confirm, { serverIdentifier: server }, "unexpected server identifier"],
    // RFC 8415 16.7
    [Type.rebind, { serverIdentifier: server }, "unexpected server identifier"],
    // RFC 8415 16.4
    [Type.request, {}, "no server identifier"],
    // RFC 8415 16.6
    [Type.renew, {}, "no server identifier"],
    // RFC 8415 16.9
    [Type.release, {}, "no server identifier"],
    // RFC 8415 16.8
    [Type.decline, {}, "no server identifier"],
    // RFC 8415 16.12
    [Type.informationRequest, {}, "address in an information request"],
    [Type.advertise, {}, "message type"],
    [Type.reply, {}, "message type"],
    [Type.reconfigure, {}, "message type"],
    [Type.relayForward, {}, "message type"],
    [0, {}, "message type"],
  ] as [number, Partial<Dhcpv6Message>, string][])("type %i with %j: %s", (type, fields, reason) => {
    expect(refusal(answerDhcpv6(message(type, fields), lease, server))).toBe(reason)
  })

  // RFC 8415 16.4 (other-server)
  test.each([Type.request, Type.renew, Type.release, Type.decline, Type.informationRequest])(
    "type %i for another server: silence",
    (type) => {
      const other = message(type, { serverIdentifier: Uint8Array.of(0, 3, 0, 1, 9), associations: [] })
      expect(answerDhcpv6(other, lease, server).kind).toBe("silent")
    },
  )
})

describe("addresses", () => {
  const identified = { serverIdentifier: server }
  const ended = (tail: string) => `0005001820010db8${"0".repeat(20)}${tail}${"0".repeat(16)}`

  // RFC 8415 21.14
  test("rapid commit: given at once", () => {
    const { type, find } = reply(message(Type.solicit, { rapidCommit: true }))
    expect([type, find(Option.rapidCommit)]).toEqual([Type.reply, ""])
    expect(reply(message(Type.solicit, { rapidCommit: true }), { guestAddress: undefined }).type).toBe(Type.advertise)
  })

  test("a hint at another address is passed over", () => {
    const { find } = reply(message(Type.solicit, { associations: [association("2001:db8::99")] }))
    expect(find(Option.identityAssociation)).toBe(ourAssociation("00000007"))
  })

  // RFC 8415 18.3.4, RFC 8415 18.3.5
  test.each([Type.renew, Type.rebind])("renewed, and ended if it isn't the one (type %i)", (type) => {
    const fields = type === Type.renew ? identified : {}
    const renewed = reply(message(type, { ...fields, associations: [association("2001:db8::2", "2001:db8::99")] }))
    expect(renewed.find(Option.identityAssociation)).toBe(`${ourAssociation("00000007")}${ended("0099")}`)
  })

  // RFC 8415 18.3.2
  test("requested with an address of another link: none, for the client to begin anew", () => {
    const associations = [association("2001:db8:1::2"), { ...association("2001:db8::2"), identity: 8 }]
    const { options } = reply(message(Type.request, { ...identified, associations }))
    const values = options.filter(({ code }) => code === Option.identityAssociation).map(({ value }) => value)
    expect(values.map((value) => Buffer.from(value).toString("hex"))).toEqual([
      `00000007${FOREVER}${FOREVER}000d00020004`,
      ourAssociation("00000008"),
    ])
  })

  // RFC 8415 18.3.2 (none)
  test("there is one: a second association gets none", () => {
    const associations = [association(), { ...association(), identity: 8 }]
    const { options } = reply(message(Type.request, { ...identified, associations }))
    const values = options.filter(({ code }) => code === Option.identityAssociation).map(({ value }) => value)
    expect(values.map((value) => Buffer.from(value).toString("hex"))).toEqual([
      ourAssociation("00000007"),
      `00000008${FOREVER}${FOREVER}000d00020002`,
    ])
  })

  test("there is none in local mode", () => {
    const { type, find } = reply(message(Type.solicit, { associations: [association()] }), { guestAddress: undefined })
    expect([type, find(Option.identityAssociation)]).toEqual([
      Type.advertise,
      `00000007${FOREVER}${FOREVER}000d00020002`,
    ])
    expect(find(Option.nameServers)).toBeDefined()
  })

  // RFC 8415 18.3.2 (prefixes)
  test("no temporary addresses, no prefixes", () => {
    const associations: Association[] = [
      { kind: "temporary addresses", identity: 1, addresses: [] },
      { kind: "prefixes", identity: 2, addresses: [] },
    ]
    const { find } = reply(message(Type.solicit, { associations }))
    expect(find(Option.temporaryAssociation)).toBe("00000001000d00020002")
    expect(find(Option.prefixDelegation)).toBe("000000020000000000000000000d00020006")
  })

  // RFC 8415 18.3.3, RFC 8415 18.3.3 (silence)
  test("confirmed by prefix (section 18.3.3)", () => {
    const confirm = (...addresses: string[]) =>
      answerDhcpv6(message(Type.confirm, { associations: [association(...addresses)] }), lease, server)
    expect(replyOf(confirm("2001:db8::99")).find(Option.statusCode)).toBe(SUCCESS)
    expect(replyOf(confirm("2001:db8::2", "2001:db8:1::2")).find(Option.statusCode)).toBe("0004")
    expect(confirm().kind).toBe("silent")
  })

  // RFC 8415 18.3.7, RFC 8415 18.3.8
  test("released and declined, as far as they were given", () => {
    const associations = [association("2001:db8::2"), { ...association("2001:db8::3"), identity: 8 }]
    const released = reply(message(Type.release, { ...identified, associations }))
    expect([released.find(Option.statusCode), released.find(Option.identityAssociation)]).toEqual([
      SUCCESS,
      `00000008${FOREVER}${FOREVER}000d00020003`,
    ])
    expect(reply(message(Type.decline, { ...identified, associations }))).toMatchObject({ isWarning: true })
  })
})

describe("a client that speaks to us alone", () => {
  // RFC 8415 18.4
  test.each([Type.request, Type.renew, Type.release, Type.decline])(
    'gets "use multicast", and nothing else (section 18.4): type %i',
    (type) => {
      const answer = reply(message(type, { serverIdentifier: server }), {}, false)
      expect(answer.type).toBe(Type.reply)
      expect(answer.options.map(({ code }) => code)).toEqual([2, 1, 13])
      expect(answer.find(Option.statusCode)).toBe("0005")
    },
  )

  // RFC 8415 16
  test.each([Type.solicit, Type.confirm, Type.rebind, Type.informationRequest])(
    "is not heard at all (section 16): type %i",
    (type) => {
      const fields = type === Type.informationRequest ? { associations: [] } : {}
      expect(refusal(answerDhcpv6(message(type, fields), lease, server, false))).toBe("unicast")
      expect(answerDhcpv6(message(type, fields), lease, server, true).kind).not.toBe("refused")
    },
  )
})

describe("the longest message, of nothing but", () => {
  const header = Uint8Array.of(Type.renew, 0, 0, 1, 0, 2, 0, server.length, ...server, 0, 1, 0, 3, 9, 9, 9)
  const repeated = (option: number[]) => {
    const bytes = new Uint8Array(65_507 - ((65_507 - header.length) % option.length))
    bytes.set(header)
    for (let at = header.length; at < bytes.length; at += option.length) bytes.set(option, at)
    return bytes
  }
  const inner = [0, 5, 0, 24, ...Address.parse("2001:db8::9").toBytes(), 0, 0, 0, 0, 0, 0, 0, 0]
  const held = Array.from({ length: 2300 }, () => inner).flat()

  // Quadratic time would take far longer, linear time a few milliseconds.
  test.each([
    ["associations", repeated([0, Option.identityAssociation, 0, 12, ...new Array(12).fill(0)])],
    ["temporary associations", repeated([0, Option.temporaryAssociation, 0, 4, 0, 0, 0, 1])],
    [
      "addresses of one association",
      repeated([0, 3, (held.length + 12) >> 8, (held.length + 12) & 0xff, ...new Array(12).fill(0), ...held]),
    ],
    ["options of nothing", repeated([0, 99, 0, 0])],
    ["requests for an option", repeated([0, 6, 0, 2, 0, 24])],
  ])("%s: is answered with what there is room for", { timeout: 5000 }, (_name, bytes) => {
    const parsed = parseDhcpv6(bytes)
    if (parsed.kind !== "message") throw new Error(parsed.reason)
    const { options, transactionId } = replyOf(answerDhcpv6(parsed.message, lease, server))
    expect(emitDhcpv6(Type.reply, transactionId, options, new Uint8Array(1232))).toBeLessThanOrEqual(1232)
  })
})

// RFC 8415 21.7
test("only what is asked for is sent; everything if nothing is said", () => {
  const asked = (requestedOptions: number[] | undefined) => {
    const { find } = reply(message(Type.solicit, { requestedOptions }))
    return [find(Option.nameServers) !== undefined, find(Option.domainList) !== undefined]
  }
  expect([asked([24]), asked([]), asked(undefined)]).toEqual([
    [false, true],
    [false, false],
    [true, true],
  ])
})

test("names (RFC 4704): no updates, and a client that asks for some is overridden", () => {
  const name = Buffer.from("\x05guest\x07example\0").toString("hex")
  const fqdn = (fields: Partial<Dhcpv6Message>) =>
    reply(message(Type.solicit, fields), { fqdn: "guest.example" }).find(Option.clientFqdn)
  expect(fqdn({})).toBe(`04${name}`)
  expect(fqdn({ requestedOptions: [] })).toBeUndefined()
  expect(fqdn({ requestedOptions: [], fqdn: Uint8Array.of(1) })).toBe(`06${name}`)
})

test("whatever can be read is answered or refused, and what is answered can be written", () => {
  fc.assert(
    fc.property(mutatedMessages(DHCPV6_CAPTURES), (bytes) => {
      const result = parseDhcpv6(bytes)
      if (result.kind !== "message") return
      const answer = answerDhcpv6(result.message, lease, server)
      if (answer.kind !== "reply") return
      const target = new Uint8Array(1232)
      const length = emitDhcpv6(answer.type, answer.transactionId, answer.options, target)
      expect(parseDhcpv6(target.subarray(0, length)).kind).toBe("message")
    }),
    { numRuns: 500 },
  )
})

test.each([1232, 300])("lists are cut to what %i bytes hold", (limit) => {
  const nameServers = Array.from({ length: 100 }, (_, index) => Address.parse(`2001:db8::${index + 1}`))
  const searchDomains = Array.from({ length: 100 }, (_, index) => `domain-number-${index}.example`)
  for (const changes of [{ nameServers }, { searchDomains }]) {
    const given = { ...lease, nameServers: [], searchDomains: [], fqdn: "guest.example", ...changes }
    const { type, transactionId, options } = replyOf(
      answerDhcpv6(message(Type.solicit, { requestedOptions: [23, 24, 39] }), given, server, true, limit),
    )
    const target = new Uint8Array(limit)
    const length = emitDhcpv6(type, transactionId, options, target)
    expect(length).toBeGreaterThan(limit - 30)
    const sent = options.find(
      ({ code }) => code === ("nameServers" in changes ? Option.nameServers : Option.domainList),
    )
    expect(Buffer.from(target.subarray(0, length)).includes(Buffer.from(sent?.value ?? "none"))).toBe(true)
    expect(Buffer.from(target.subarray(0, length)).includes("guest")).toBe(true)
  }
})
