import { Address, IpProtocol } from "@demiflow/core"
import { describe, expect, it, test } from "vitest"
import { EXCHANGES } from "./exchanges.fixture.ts"
import { encodeAnswer, encodeHello, encodeUpdate, MOST_RULES, PestoCapability, PestoPlace } from "./messages.ts"
import { PestoReader } from "./reader.ts"
import type { PestoRule } from "./rule.ts"

const { tcp, udp } = IpProtocol
const RULE: PestoRule = {
  protocol: tcp,
  address: undefined,
  interfaceName: undefined,
  firstPort: 8080,
  lastPort: 8081,
  targetAddress: undefined,
  firstTargetPort: 80,
  isBestEffort: false,
  isAuto: false,
}
const FULL: PestoRule = {
  ...RULE,
  protocol: udp,
  address: Address.parse("2001:db8::1"),
  interfaceName: "fifteen-letters",
  targetAddress: Address.parse("2001:db8::2"),
  isBestEffort: true,
  isAuto: true,
}

describe("what the C programs said", () => {
  test.each(EXCHANGES)("pesto $options", ({ hello, update }) => {
    const tables = PestoReader.hello().push(hello)
    expect(tables?.map(({ id, name, capabilities }) => [id, name, capabilities])).toEqual([
      [1, "HOST", 63],
      [3, "SPLICE", 63],
    ])
    expect(encodeHello(tables ?? [])).toEqual(hello)
    if (update.length === 0) return
    const read = PestoReader.update([1, 3]).push(update)
    expect(read && encodeUpdate(read)).toEqual(update)
  })

  it("has the meaning that users gave it", () => {
    const [first, second, , all] = EXCHANGES
    const [host, splice] = PestoReader.hello().push(first.hello) ?? []
    expect(host.rules).toEqual([
      { ...RULE, address: Address.parse("127.0.0.1"), firstPort: 5000, lastPort: 5002, firstTargetPort: 6000 },
      { ...RULE, protocol: udp, firstPort: 7000, lastPort: 7000, firstTargetPort: 7000 },
    ])
    expect(splice.rules).toEqual([])
    const update = PestoReader.update([1, 3]).push(second.update)
    expect(update?.isConditional).toBe(false)
    expect(update?.tables[0].rules[1]).toEqual({ ...RULE, firstPort: 8080, lastPort: 8080, firstTargetPort: 80 })
    const ranges = PestoReader.update([1, 3]).push(all.update)?.tables[0].rules
    expect(ranges?.map(({ firstPort, isBestEffort }) => [firstPort, isBestEffort])).toEqual([
      [1, true],
      [61_000, true],
    ])
  })
})

describe("own messages", () => {
  const tables = [
    { ...PestoPlace.host, capabilities: PestoCapability.answers | PestoCapability.ipv6, rules: [RULE, FULL] },
    { ...PestoPlace.splice, capabilities: 0, rules: [] },
  ]

  it("arrive as they were, in pieces of any size", () => {
    for (const size of [1, 3, 57, 1_000]) {
      expect(inPieces(PestoReader.hello(), encodeHello(tables), size)).toEqual(tables)
      for (const isConditional of [false, true]) {
        const update = { tables: tables.map(({ id, rules }) => ({ id, rules })), isConditional }
        expect(inPieces(PestoReader.update([1, 3]), encodeUpdate(update), size)).toEqual(update)
      }
      for (const result of ["done", "failed", "outdated"] as const) {
        const answer = { result, message: result === "done" ? "" : "port 80 is in use\n…" }
        expect(inPieces(PestoReader.answer(), encodeAnswer(answer), size)).toEqual(answer)
      }
    }
  })

  it("end with nothing before their last byte", () => {
    const bytes = encodeUpdate({ tables, isConditional: true })
    for (let length = 0; length < bytes.length; length++) {
      expect(PestoReader.update([1, 3]).push(bytes.subarray(0, length))).toBeUndefined()
    }
  })

  it("leave out what follows", () => {
    const nothing = { tables: [], isConditional: false }
    const bytes = Uint8Array.of(...encodeUpdate(nothing), 1, 2, 3)
    expect(PestoReader.update([]).push(bytes)).toEqual(nothing)
  })

  it("cut a text that is too long", () => {
    const answer = encodeAnswer({ result: "failed", message: "…".repeat(10_000) })
    expect(PestoReader.answer().push(answer)?.message).toMatch(/^…{1365}$/)
  })

  it("have no more rules than a table can", () => {
    const rules = Array.from({ length: MOST_RULES + 1 }, () => RULE)
    expect(() => encodeUpdate({ tables: [{ id: 1, rules }], isConditional: false })).toThrow(
      "A table has at most 255 rules, not 256",
    )
  })
})

describe("a message that can't be right", () => {
  const hello = encodeHello([])
  test.each([
    ["another greeting", 0, 0x48, "this is no socket for pesto"],
    ["another version", 11, 1, "its protocol has version 1, not 2"],
    ["other names", 15, 64, "its names have other lengths"],
  ])("hello with %s", (_, offset, byte, message) => {
    const bytes = hello.slice()
    bytes[offset] = byte
    expect(() => PestoReader.hello().push(bytes)).toThrow(message)
  })

  const rule = 5
  test.each<[string, [offset: number, byte: number][], string]>([
    ["unknown flags", [[rule + 55, 9]], "unknown flags: 9"],
    ["another protocol", [[rule + 54, 58]], "IP protocol 58"],
    [
      "port 0",
      [
        [rule + 48, 0],
        [rule + 49, 0],
      ],
      "port 0",
    ],
    [
      "target port 0",
      [
        [rule + 52, 0],
        [rule + 53, 0],
      ],
      "port 0",
    ],
    ["ports that end too early", [[rule + 50, 0]], "end before they begin: 8080-145"],
    [
      "targets after the last port",
      [
        [rule + 52, 255],
        [rule + 53, 255],
      ],
      "end after 65535",
    ],
    ["a name without end", Array.from({ length: 16 }, (_, at) => [rule + 32 + at, 97]), "interface name"],
    ["a name with a slash", [[rule + 32, 47]], "interface name"],
    ["any address and one", [[rule + 15, 1]], "for any address, and names one"],
    [
      "a multicast address",
      [
        [rule, 0xff],
        [rule + 15, 1],
        [rule + 55, 0],
      ],
      "listens at ff00::1",
    ],
    [
      "a multicast target",
      [
        [rule + 16, 0xff],
        [rule + 31, 1],
      ],
      "leads to ff00::1",
    ],
    [
      "two IP versions",
      [
        [rule + 16, 0x20],
        [rule + 26, 255],
        [rule + 10, 255],
        [rule + 11, 255],
        [rule + 15, 9],
        [rule + 55, 0],
      ],
      "another IP version",
    ],
    ["a table that is too large", [[3, 1]], "a table with 257 rules is too large"],
  ])("update with %s", (_, changes, message) => {
    const bytes = encodeUpdate({ tables: [{ id: 1, rules: [RULE] }], isConditional: false })
    for (const [offset, byte] of changes) bytes[offset] = byte
    expect(() => PestoReader.update([1, 3]).push(bytes)).toThrow(message)
  })

  it("update with a table that comes twice", () => {
    const tables = [
      { id: 3, rules: [] },
      { id: 3, rules: [] },
    ]
    const bytes = encodeUpdate({ tables, isConditional: false })
    expect(() => PestoReader.update([1, 3]).push(bytes)).toThrow("table 3 comes twice")
  })

  it("update of a table that isn't there, before its rules are read", () => {
    expect(() => PestoReader.update([1, 3]).push(Uint8Array.of(2))).toThrow("there is no table 2")
    expect(() => PestoReader.update([1]).push(Uint8Array.of(255, 0, 0, 0, 1))).toThrow("with 1 rules is too large")
    const twice = Uint8Array.of(255, 0, 0, 0, 0, 255)
    expect(() => PestoReader.update([1]).push(twice)).toThrow("there is no table 255")
  })

  it("answer with another result", () => {
    expect(() => PestoReader.answer().push(Uint8Array.of(0, 0, 0, 3, 0, 0, 0, 0))).toThrow("there is no result 3")
  })

  it("nothing that is shown has control characters", () => {
    const name = "\u001b]0;x\u0007\n"
    const [table] = PestoReader.hello().push(encodeHello([{ id: 1, name, capabilities: 0, rules: [] }])) ?? []
    expect(table.name).toBe("?]0;x??")
    const answer = PestoReader.answer().push(encodeAnswer({ result: "failed", message: "a\u009b\nb" }))
    expect(answer?.message).toBe("a?\nb")
  })

  it("random bytes end in a message, or in an error for users", () => {
    let state = 7
    const random = () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
      return state >>> 16
    }
    for (let run = 0; run < 2_000; run++) {
      const bytes = encodeUpdate({ tables: [{ id: 1, rules: [RULE, FULL] }], isConditional: true })
      for (let changes = random() % 4; changes >= 0; changes--) bytes[random() % bytes.length] = random()
      try {
        PestoReader.update([1, 3]).push(bytes)
      } catch (error) {
        expect(error).toMatchObject({ code: "ERR_PESTO_PROTOCOL" })
      }
    }
  })
})

function inPieces<Message>(reader: PestoReader<Message>, bytes: Uint8Array, size: number): Message | undefined {
  let message: Message | undefined
  for (let offset = 0; offset < bytes.length; offset += size)
    message = reader.push(bytes.subarray(offset, offset + size))
  return message
}
