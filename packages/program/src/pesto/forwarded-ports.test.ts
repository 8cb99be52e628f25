import { Address, Errno, Interface, IpProtocol, type ListenerRef, type ListeningEnd } from "@demiflow/core"
import { PortForwarding } from "@demiflow/flow"
import { type PestoAnswer, PestoCapability, type PestoRule, type PestoUpdate } from "@demiflow/pesto-protocol"
import { describe, expect, test } from "vitest"
import { ForwardedPorts } from "./forwarded-ports.ts"
import { ownUsers } from "./pesto-socket.ts"

const family = {} as never
const PASTA = {
  program: "pasta" as const,
  protocols: { tcp: true, udp: true } as never,
  v4: family,
  v6: family,
  splicing: { isOnly: false } as never,
  freebind: true,
}
const RULE: PestoRule = {
  protocol: IpProtocol.tcp,
  address: undefined,
  interfaceName: undefined,
  firstPort: 80,
  lastPort: 81,
  targetAddress: undefined,
  firstTargetPort: 8080,
  isBestEffort: false,
  isAuto: false,
}

type Settings = ConstructorParameters<typeof ForwardedPorts>[1]

function setUp(settings: Partial<Settings> = {}, taken: readonly number[] = []) {
  const open: string[] = []
  const forwarding = new PortForwarding({
    listen(_protocol: number, { port, freebind }: ListeningEnd, _to: unknown, _port: number, place?: number) {
      if (taken.includes(port)) return -Errno.EADDRINUSE as ListenerRef
      return (open.push(`${place === Interface.splice ? "inside " : ""}${port}${freebind ? " free" : ""}`) -
        1) as ListenerRef
    },
    unlisten: () => {},
    portsInUse: () => [],
  })
  const changed: number[] = []
  const held: boolean[] = []
  const spare = { hold: () => held.push(true) > 0, release: () => void held.push(false) }
  const ports = new ForwardedPorts(forwarding, { ...PASTA, ...settings }, spare, (rules) => changed.push(rules.length))
  const change = (tables: PestoUpdate["tables"], seen?: number) =>
    new Promise<PestoAnswer>((resolve) =>
      ports.change({ tables, isConditional: seen !== undefined }, seen ?? 0, resolve),
    )
  return { ports, change, open, changed, held }
}

describe("the tables", () => {
  test("say what the program can do", () => {
    const { ports } = setUp()
    const { ipv4, ipv6, tcp, udp, auto, interfaceNames, answers } = PestoCapability
    const all = ipv4 | ipv6 | tcp | udp | auto | interfaceNames | answers
    expect(ports.tables).toEqual([
      { id: 1, name: "HOST", capabilities: all, rules: [] },
      { id: 3, name: "SPLICE", capabilities: all, rules: [] },
    ])
    const limited: Partial<Settings> = {
      program: "passt",
      v6: undefined,
      splicing: undefined,
      protocols: { tcp: false, udp: true } as never,
    }
    expect(setUp(limited).ports.tables).toEqual([
      { id: 1, name: "HOST", capabilities: ipv4 | udp | interfaceNames | answers, rules: [] },
    ])
  })
})

describe("an update", () => {
  test("opens the ports where they are to be, in pieces", async () => {
    const { change, open, changed, ports, held } = setUp()
    const update = [
      { id: 1, rules: [{ ...RULE, firstPort: 1000, lastPort: 1999 }] },
      { id: 3, rules: [RULE] },
    ]
    expect(await change(update)).toEqual({ result: "done", message: "" })
    expect([open.length, open[0], open[1001]]).toEqual([1002, "1000 free", "inside 81"])
    expect(changed).toEqual([2])
    expect(held.slice(0, 4)).toEqual([true, false, true, false])
    expect(ports.tables.map(({ rules }) => rules.length)).toEqual([1, 1])
  })

  test("that fails names the port", async () => {
    const { change, changed } = setUp({}, [81])
    expect(await change([{ id: 1, rules: [RULE] }])).toEqual({
      result: "failed",
      message: "Listen failed for HOST TCP port */81: Address already in use",
    })
    expect(changed).toEqual([])
  })

  test("with ports that may be missing is done, and says nothing while one is there", async () => {
    const { change } = setUp({}, [81, 90])
    expect(await change([{ id: 1, rules: [{ ...RULE, isBestEffort: true }] }])).toEqual({ result: "done", message: "" })
    const empty = { ...RULE, firstPort: 90, lastPort: 90, isBestEffort: true }
    expect(await change([{ id: 1, rules: [empty] }])).toEqual({
      result: "done",
      message: "No port could be forwarded for TCP [*]:90  =>  8080  (best effort): Address already in use",
    })
  })

  test("that is conditional changes nothing once another client has changed the ports", async () => {
    const { change, ports } = setUp()
    const first = change([{ id: 1, rules: [RULE] }], 0)
    const second = change([{ id: 3, rules: [RULE] }], 0)
    expect((await first).result).toBe("done")
    expect(await second).toEqual({ result: "outdated", message: "Another client has changed the ports meanwhile" })
    expect(ports.tables.map(({ rules }) => rules.length)).toEqual([1, 0])
    expect((await change([{ id: 3, rules: [RULE] }], ports.version)).result).toBe("done")
  })

  test("for any address opens what the program can forward", async () => {
    const { change, ports } = setUp({ v6: undefined })
    await change([{ id: 1, rules: [RULE] }])
    expect(ports.tables[0].rules.map(({ address }) => address?.toString())).toEqual(["0.0.0.0"])
  })

  test("is seen by clients that come after it, however long it takes", async () => {
    const { ports, change } = setUp()
    const seen: number[] = []
    const see = () => seen.push(ports.tables[0].rules.length)
    ports.whenSettled(see)
    const changes = [9_000, 9_001].map((lastPort) => change([{ id: 1, rules: [{ ...RULE, lastPort }] }]))
    ports.whenSettled(see)
    expect(seen).toEqual([0])
    await Promise.all(changes)
    expect(seen).toEqual([0, 1])
  })

  test("ends where it is once the program ends", async () => {
    const { ports, open, changed } = setUp()
    ports.change({ tables: [{ id: 1, rules: [{ ...RULE, lastPort: 9_000 }] }], isConditional: false }, 0, () => {})
    ports.close()
    const before = open.length
    await new Promise(setImmediate)
    expect([open.length, changed]).toEqual([before, []])
  })

  test("waits for those before", async () => {
    const { change, ports } = setUp()
    const many = { ...RULE, firstPort: 1000, lastPort: 1999 }
    const answers = await Promise.all([
      change([{ id: 1, rules: [many] }]),
      change([{ id: 1, rules: [RULE] }]),
      change([{ id: 3, rules: [RULE] }]),
    ])
    expect(answers.map(({ result }) => result)).toEqual(["done", "done", "done"])
    expect(ports.tables.map(({ rules }) => rules.length)).toEqual([0, 1])
  })

  const loopback = Address.parse("127.0.0.1")
  test.each<[string, PestoUpdate["tables"], Partial<Settings>, string]>([
    [
      "too many ports",
      [
        {
          id: 1,
          rules: ["a", "b", "c"].map((interfaceName) => ({ ...RULE, interfaceName, firstPort: 1, lastPort: 65_535 })),
        },
      ],
      {},
      "196605 ports are more than the 131070 that are possible",
    ],
    [
      "a protocol that is off",
      [{ id: 1, rules: [RULE] }],
      { protocols: { udp: true } as never },
      "the protocol is off",
    ],
    [
      "an IP version that is off",
      [{ id: 1, rules: [{ ...RULE, address: loopback }] }],
      { v4: undefined },
      "IPv4 is off",
    ],
    ["auto of passt", [{ id: 1, rules: [{ ...RULE, isAuto: true }] }], { program: "passt" }, "auto is for namespaces"],
    [
      "a loopback target without a local path",
      [{ id: 1, rules: [{ ...RULE, targetAddress: loopback }] }],
      { splicing: undefined },
      "127.0.0.1 can't be reached",
    ],
    [
      "a target without a tap interface",
      [{ id: 1, rules: [{ ...RULE, targetAddress: Address.parse("192.0.2.1") }] }],
      { splicing: { isOnly: true } as never },
      "192.0.2.1 can't be reached",
    ],
    ["ports given twice", [{ id: 1, rules: [RULE, { ...RULE, address: loopback }] }], {}, "has these ports already"],
  ])("with %s is refused", async (_, update, settings, message) => {
    const { change, open } = setUp(settings)
    expect(await change(update)).toEqual({ result: "failed", message: expect.stringContaining(message) })
    expect(open).toEqual([])
  })
})

describe("users who may change ports", () => {
  test.each([
    ["root, with all users known", 0, "         0          0 4294967295\n", [0]],
    ["a user, with all users known", 1000, "         0          0 4294967295\n", [1000, 0]],
    [
      "a user alone in a namespace: root has no number there",
      1000,
      "      1000       1000          1\n",
      [1000, 0, 65_534],
    ],
  ])("%s", (_, user, map, expected) => {
    expect([...ownUsers(user, map)].sort()).toEqual([...expected].sort())
  })
})
