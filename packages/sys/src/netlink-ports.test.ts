/** Answers that come in parts, break off or are refused. Real answers: bound-ports.test.ts. */
import { Arena, IpProtocol } from "@demiflow/core"
import { expect, test } from "vitest"
import { BoundPorts } from "./bound-ports.ts"
import type { Native } from "./native.ts"
import { MessageType, NetlinkFlag, NetlinkProtocol } from "./netlink/constants.ts"
import { HEADER_BYTES, MACHINE_ORDER, MessageWriter } from "./netlink/message.ts"
import { NetlinkSocket } from "./netlink/socket.ts"
import { NetlinkPorts } from "./netlink-ports.ts"
import { native as kernel, arena as realArena } from "./test-support.ts"

const { tcp, udp } = IpProtocol
const EBUSY = 16
const ENOENT = 2
const EACCES = 13
const ENOBUFS = 105
const EAGAIN = 11

/** A message of an answer. `age` is the number of requests since the one that it would have answered. */
type Part = { ports: number[]; flags?: number; age?: number } | { done: number } | { error: number }
/** A datagram, or the error of receiving it. */
type Datagram = Part[] | number

/** Answers requests as prepared: one list of datagrams for each, in order. */
class FakeKernel {
  readonly arena = new Arena(1 << 18)
  readonly answers: Datagram[][] = []
  readonly requests: Buffer[] = []
  readonly opened: string[] = []
  #waiting: { sequenceNumber: number; datagram: Datagram }[] = []

  readonly native = {
    socketInNamespace: () => 3,
    connect: () => 0,
    openInNamespace: (_namespace: number, path: string) => this.opened.push(path) + 100,
    setOption: () => 0,
    setOptionInteger: () => 0,
    readAt: () => 0,
    close: () => 0,
    sendVectors: (_descriptor: number, vectors: number) => this.#take(vectors),
    receiveVectors: (_descriptor: number, vectors: number) => this.#give(vectors),
  } as unknown as Native

  get isDrained(): boolean {
    return this.#waiting.length === 0
  }

  #take(vectors: number): number {
    const [offset, length] = this.#vector(vectors)
    this.requests.push(Buffer.from(this.arena.bytes.subarray(offset, offset + length)))
    const sequenceNumber = this.arena.view.getUint32(offset + 8, MACHINE_ORDER)
    const datagrams = this.answers.shift() ?? [[{ done: 0 }]]
    this.#waiting.push(...datagrams.map((datagram) => ({ sequenceNumber, datagram })))
    return length
  }

  #give(vectors: number): number {
    const next = this.#waiting.shift()
    if (next === undefined) return -EAGAIN
    if (typeof next.datagram === "number") return -next.datagram
    const [offset, capacity] = this.#vector(vectors)
    let at = offset
    for (const part of next.datagram) {
      for (const write of bodiesOf(part)) {
        const writer = new MessageWriter(this.arena.view, at, capacity)
        write(writer)
        at += writer.finish(next.sequenceNumber - ("age" in part ? (part.age ?? 0) : 0))
      }
    }
    return at - offset
  }

  #vector(vectors: number): [number, number] {
    return [this.arena.words[vectors >> 2], this.arena.words[(vectors >> 2) + 1]]
  }
}

function bodiesOf(part: Part): ((writer: MessageWriter) => void)[] {
  if ("ports" in part) {
    return part.ports.map((port) => (writer: MessageWriter) => {
      writer.begin(MessageType.socketsByFamily, part.flags ?? 0)
      writer.uint32(0).uint8(port >> 8, port & 0xff)
      for (let at = 6; at < 72; at += 2) writer.uint16(0)
    })
  }
  const isDone = "done" in part
  return [
    (writer) => {
      writer.begin(isDone ? MessageType.done : MessageType.error, 0)
      writer.uint32(isDone ? part.done : part.error)
      if (!isDone) for (let at = 0; at < HEADER_BYTES; at += 4) writer.uint32(0)
    },
  ]
}

/** The TCP ports, with one answer for IPv4 and one for IPv6. */
function setUp(...answers: Datagram[][]) {
  const fake = new FakeKernel()
  fake.answers.push(...answers)
  const socket = new NetlinkSocket(fake.native, fake.arena, undefined, NetlinkProtocol.socketDiagnosis)
  return { fake, ports: new NetlinkPorts(socket, tcp) }
}

const whole = (...ports: number[]): Datagram[] => [[{ ports }, { done: 0 }]]
const others = (count: number): Datagram[] => Array.from({ length: count }, () => [{ ports: [1], age: 1 }])

test("both IP versions are asked for sockets in the state that counts", () => {
  const { fake } = setUp()
  new NetlinkPorts(new NetlinkSocket(fake.native, fake.arena, undefined, NetlinkProtocol.socketDiagnosis), udp)
  const bodies = fake.requests.map((request) => request.subarray(HEADER_BYTES).toString("hex"))
  const rest = "00".repeat(48)
  expect(bodies).toEqual([
    `02060000${"00040000"}${rest}`,
    `0a060000${"00040000"}${rest}`,
    `02110000${"82000000"}${rest}`,
    `0a110000${"82000000"}${rest}`,
  ])
  for (const request of fake.requests) {
    expect(request.readUInt16LE(4)).toBe(20)
    expect(request.readUInt16LE(6)).toBe(NetlinkFlag.request | NetlinkFlag.dump)
  }
})

test("an answer may be in several datagrams", () => {
  const { fake, ports } = setUp()
  fake.answers.push([[{ ports: [22, 80] }], [{ ports: [443] }], [{ done: 0 }]], whole(8080, 65535))
  expect(ports.read()).toEqual(new Set([22, 80, 443, 8080, 65535]))
})

test("what answers another request is passed over", () => {
  const { fake, ports } = setUp()
  fake.answers.push([...others(1_000), ...whole(22)], [...others(1), ...whole(443)])
  expect(ports.read()).toEqual(new Set([22, 443]))
})

test.each<[string, Datagram[][]]>([
  ["doesn't come among many others", [[...others(1_001), ...whole(80)]]],
  ["isn't consistent", [[[{ ports: [80], flags: NetlinkFlag.interrupted }], [{ done: 0 }]], whole()]],
  ["isn't consistent at its end", [whole(22), [[{ ports: [443] }, { ports: [1], flags: 0x10 }], [{ done: 0 }]]]],
  ["breaks off", [[[{ ports: [80] }], ENOBUFS, [{ ports: [22] }], [{ done: 0 }]]]],
  ["breaks off in the second version", [whole(), [ENOBUFS, [{ ports: [22] }], [{ done: 0 }]]]],
  ["ends with an error", [[[{ ports: [80] }], [{ done: -ENOENT }]]]],
  ["is refused while another one goes on", [[[{ error: -EBUSY }]]]],
])("when an answer %s, ports stay as they were, and the next one counts", (_what, answers) => {
  const { fake, ports } = setUp(whole(22), whole(443))
  expect(ports.read()).toEqual(new Set())
  fake.answers.push(whole(22), whole(443))
  expect(ports.read()).toEqual(new Set([22, 443]))
  fake.answers.push(...answers)
  expect(ports.read()).toEqual(new Set([22, 443]))
  expect(fake.isDrained).toBe(true)
  fake.answers.splice(0)
  fake.answers.push(whole(22), whole(8080))
  expect(ports.read()).toEqual(new Set([22, 8080]))
})

test("when the kernel refuses from some time on, ports stay as they were", () => {
  const { fake, ports } = setUp()
  fake.answers.push(whole(22), whole(443))
  ports.read()
  for (let time = 0; time < 3; time++) {
    fake.answers.push([[{ error: -EACCES }]])
    expect(ports.read()).toEqual(new Set([22, 443]))
  }
})

test("a first answer that isn't consistent is no refusal", () => {
  const { fake, ports } = setUp([[{ ports: [80], flags: NetlinkFlag.interrupted }, { done: 0 }]])
  fake.answers.push(whole(80), whole())
  expect(ports.read()).toEqual(new Set([80]))
})

const refused = (...errors: Part[]): Datagram[][] => errors.map((error) => [[error]])

test.each([
  ["neither protocol", refused({ done: -ENOENT }, { error: -ENOENT }), ["tcp", "tcp6", "udp", "udp6"]],
  ["no TCP", refused({ done: -ENOENT }), ["tcp", "tcp6"]],
  ["no UDP", [...refused({ done: 0 }, { done: 0 }), ...refused({ error: -EACCES })], ["udp", "udp6"]],
  ["both", [], []],
])("with a kernel that lists %s over netlink, the files of the others are read", (_what, answers, files) => {
  const fake = new FakeKernel()
  fake.answers.push(...answers)
  const ports = new BoundPorts(fake.native, fake.arena)
  expect(fake.opened).toEqual(files.map((name) => `/proc/thread-self/net/${name}`))
  const asked = fake.requests.length
  for (const protocol of [tcp, udp]) expect(ports.of(protocol)).toEqual(new Set())
  // A missing module isn't requested again: the kernel would search for it each time.
  expect(fake.requests.length - asked).toBe(4 - files.length)
})

test("the kernel's refusal is an error where it can't list a protocol", () => {
  const socket = new NetlinkSocket(kernel, realArena, undefined, NetlinkProtocol.socketDiagnosis)
  expect(() => new NetlinkPorts(socket, 253)).toThrow("Could not list sockets")
  expect(() => new NetlinkPorts(socket, tcp)).not.toThrow()
  socket.close()
})
