import { Address, MacAddress } from "@demiflow/core"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest"
import { EventLoop } from "../event-loop.ts"
import { arena, missing, native, openPingNamespace, type PingNamespace } from "../test-support.ts"
import { Family, MessageType, NeighbourAttribute, NeighbourState, NetlinkFlag } from "./constants.ts"
import { type Message, MessageWriter, messages } from "./message.ts"
import { NeighbourWatch } from "./neighbour-watch.ts"
import { parseNeighbour } from "./neighbours.ts"
import { readNetwork } from "./network.ts"
import { NetlinkSocket } from "./socket.ts"

const ETHERNET = "02:00:00:00:00:77"
const PERMANENT = NeighbourState.permanent

interface Fields {
  readonly address?: string
  readonly mac?: string | Uint8Array | undefined
  readonly state?: number
  readonly index?: number
}

function macBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(6)
  MacAddress.parse(text).write(new DataView(bytes.buffer), 0)
  return bytes
}

/** Writes an RTM_NEWNEIGH message as the kernel and `ip neighbour` do. */
function writeNeighbour(writer: MessageWriter, fields: Fields): void {
  const address = Address.parse(fields.address ?? "192.0.2.77")
  const mac = "mac" in fields ? fields.mac : ETHERNET
  writer
    .uint8(address.isV4 ? Family.ipv4 : Family.ipv6, 0)
    .uint16(0)
    .uint32(fields.index ?? 4)
    .uint16(fields.state ?? PERMANENT)
    .uint8(0, 0)
  writer.attributeBytes(NeighbourAttribute.destination, address.toBytes())
  if (mac !== undefined) {
    writer.attributeBytes(NeighbourAttribute.linkLayerAddress, typeof mac === "string" ? macBytes(mac) : mac)
  }
}

describe("a neighbour in a message", () => {
  const interfaces = { v4: 4, v6: 6 }

  function parse(fields: Fields, change: (view: DataView, message: Message) => Message = (_view, message) => message) {
    const view = new DataView(new ArrayBuffer(512))
    const writer = new MessageWriter(view, 0, 512)
    writer.begin(MessageType.newNeighbour, 0)
    writeNeighbour(writer, fields)
    const [message] = messages(view, 0, writer.finish(0))
    const parsed = parseNeighbour(view, change(view, message), interfaces)
    return parsed && `${parsed.address} ${parsed.macAddress}`
  }

  it.each(Object.entries(NeighbourState))("has its Ethernet address in the state %s", (_name, state) => {
    expect(parse({ state })).toBe(`192.0.2.77 ${ETHERNET}`)
    expect(parse({ state, address: "fe80::77", index: 6 })).toBe(`fe80::77 ${ETHERNET}`)
  })

  it.each([0, 0x01, 0x20])("has none in the state %i: none, incomplete, failed", (state) => {
    expect(parse({ state })).toBeUndefined()
  })

  it("is none if it is a group", () => {
    const group = { address: "ff02::16", mac: "33:33:00:00:00:16", index: 6, state: NeighbourState.noArp }
    expect(parse(group)).toBeUndefined()
  })

  it("is none on another interface", () => {
    expect([parse({ index: 6 }), parse({ index: 4, address: "fe80::77" })]).toEqual([undefined, undefined])
  })

  it("is none without an Ethernet address: behind a tunnel, or on InfiniBand", () => {
    for (const mac of [undefined, new Uint8Array(0), new Uint8Array(4), new Uint8Array(20)]) {
      expect(parse({ mac })).toBeUndefined()
    }
  })

  it("is none in other messages, and in those that are cut", () => {
    expect(parse({}, (_view, message) => ({ ...message, type: MessageType.newNeighbour + 1 }))).toBeUndefined()
    // The last two bytes are padding.
    for (let cut = 3; cut < 32; cut++) {
      expect(parse({}, (_view, message) => ({ ...message, end: message.end - cut }))).toBeUndefined()
    }
    const ofAnotherFamily = (view: DataView, message: Message) => {
      view.setUint8(message.offset, 7)
      return message
    }
    expect(parse({}, ofAnotherFamily)).toBeUndefined()
  })
})

// Entering a namespace requires privileges, which the program has inside its user namespace.
describe.skipIf(missing)(`watching neighbours${missing}`, () => {
  const names = { v4: "watched0", v6: "watched0" }
  const seen: string[] = []
  let onSeen = (): unknown => undefined
  let namespace: PingNamespace
  let socket: NetlinkSocket
  let loop: EventLoop
  const indexes = new Map<string, number>()
  let watch: NeighbourWatch | undefined

  beforeAll(async () => {
    const links = "ip link add watched0 type veth peer name other0 && ip link set watched0 up && ip link set other0 up"
    namespace = await openPingNamespace(links)
    socket = new NetlinkSocket(native, arena, namespace.network)
    for (const { name, index } of readNetwork(socket).interfaces) indexes.set(name, index)
  })

  afterAll(() => {
    socket.close()
    namespace.close()
  })

  beforeEach(() => {
    loop = new EventLoop(native, arena)
  })

  afterEach(() => {
    watch?.close()
    loop.close()
    seen.length = 0
    onSeen = () => undefined
  })

  const start = (interfaces = names) => {
    const onNeighbour = (address: Address, mac: MacAddress) => {
      seen.push(`${address} ${mac}`)
      onSeen()
    }
    watch = new NeighbourWatch(native, arena, loop, interfaces, onNeighbour, namespace.network)
  }
  const add = (address: string, mac: string, name = "watched0") => {
    const flags = NetlinkFlag.create | NetlinkFlag.replace
    socket.request("add a neighbour", MessageType.newNeighbour, flags, (writer) =>
      writeNeighbour(writer, { address, mac, index: indexes.get(name) ?? 0 }),
    )
  }

  it("reports those that are there, and then what changes", () => {
    add("192.0.2.77", ETHERNET)
    add("2001:db8::77", ETHERNET)
    add("192.0.2.78", ETHERNET, "other0")
    start()
    expect(seen.splice(0)).toEqual([`192.0.2.77 ${ETHERNET}`, `2001:db8::77 ${ETHERNET}`])
    add("192.0.2.77", "02:00:00:00:00:78")
    add("2001:db8::79", ETHERNET)
    add("192.0.2.80", ETHERNET, "other0")
    loop.round(0)
    expect(seen).toEqual(["192.0.2.77 02:00:00:00:00:78", `2001:db8::79 ${ETHERNET}`])
  })

  it("has an interface for each version of IP, or none", () => {
    add("192.0.2.77", ETHERNET)
    add("2001:db8::77", ETHERNET, "other0")
    start({ v4: "missing0", v6: "other0" })
    expect(seen).toEqual([`2001:db8::77 ${ETHERNET}`])
  })

  it("lists all again when reports were lost, and goes on", () => {
    start()
    // A second between rounds, as on a slow machine.
    vi.spyOn(loop.clock, "advance").mockImplementation(() => {
      loop.clock.now += 1000
      return loop.clock.now
    })
    const most = 2000
    for (let count = 0; count < most; count++) add(`192.0.${100 + (count >> 8)}.${count & 255}`, ETHERNET)
    const readAll = () => {
      for (let round = 0; round < most; round++) loop.round(0)
    }
    loop.round(0)
    // The buffer is still full, and the kernel doesn't signal this loss.
    add("192.0.2.77", "02:00:00:00:00:79")
    readAll()
    expect(new Set(seen).size).toBeGreaterThan(most)
    expect(seen).toContain("192.0.2.77 02:00:00:00:00:79")
    add("192.0.2.77", "02:00:00:00:00:80")
    readAll()
    expect(seen).toContain("192.0.2.77 02:00:00:00:00:80")
  })
})
