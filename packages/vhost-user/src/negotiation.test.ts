/** Features in every combination: what is agreed on decides which frames pass. */
import { type FrameBatch, Segmentation, type SegmentationId } from "@demiflow/core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { number64 } from "./test-support/front-end.ts"
import { batchOf, F, Machine, numberedFrame, PROTOCOL, R, USUAL } from "./test-support/machine.ts"

const OFFLOADS: readonly bigint[] = [
  F.CSUM,
  F.HOST_TSO4,
  F.HOST_TSO6,
  F.HOST_ECN,
  F.HOST_USO,
  F.GUEST_CSUM,
  F.GUEST_TSO4,
  F.GUEST_TSO6,
  F.GUEST_USO4,
  F.GUEST_USO6,
]
const RINGS: readonly bigint[] = [F.MRG_RXBUF, F.EVENT_IDX, F.INDIRECT_DESC, F.VERSION_1]

/** All sums of some of the numbers. */
function subsets(bits: readonly bigint[]): bigint[] {
  const all = [0n]
  for (const bit of bits) all.push(...all.map((set) => set | bit))
  return all
}

interface Kind {
  readonly name: string
  /** What the virtio header has, 5.1.6. */
  readonly type: number
  readonly segmentation: SegmentationId
  readonly fromGuest: readonly bigint[]
  readonly toGuest: readonly bigint[]
}

const { none, tcp4, tcp6, udp } = Segmentation
const KINDS: readonly Kind[] = [
  { name: "partial", type: 0, segmentation: none, fromGuest: [F.CSUM], toGuest: [F.GUEST_CSUM] },
  {
    name: "tcp4",
    type: 1,
    segmentation: tcp4,
    fromGuest: [F.CSUM, F.HOST_TSO4],
    toGuest: [F.GUEST_CSUM, F.GUEST_TSO4],
  },
  {
    name: "tcp6",
    type: 4,
    segmentation: tcp6,
    fromGuest: [F.CSUM, F.HOST_TSO6],
    toGuest: [F.GUEST_CSUM, F.GUEST_TSO6],
  },
  {
    name: "udp",
    type: 5,
    segmentation: udp,
    fromGuest: [F.CSUM, F.HOST_USO],
    toGuest: [F.GUEST_CSUM, F.GUEST_USO4, F.GUEST_USO6],
  },
]

const has = (features: bigint, needed: readonly bigint[]): boolean => needed.every((bit) => (features & bit) !== 0n)

/** A virtio header: flags, type, bytes of headers, segment, start of the checksum, offset of its field. */
function header(length: number, ...fields: readonly number[]): Buffer {
  const [flags = 0, type = 0, headers = 0, segment = 0, start = 0, offset = 0] = fields
  const bytes = Buffer.alloc(length)
  bytes[0] = flags
  bytes[1] = type
  for (const [index, value] of [headers, segment, start, offset].entries()) bytes.writeUInt16LE(value, 2 + 2 * index)
  return bytes
}

let machine: Machine

beforeAll(() => {
  machine = new Machine({ entries: 64 })
  machine.start(USUAL)
})
afterAll(() => machine.close())

function agreeOn(features: bigint): void {
  machine.socket.send(R.SET_FEATURES, number64(features))
  machine.turn(1)
  machine.received.length = 0
  machine.descriptions.length = 0
}

/** Sends one frame of each kind from the guest, and a plain one. Returns the names of those that arrived. */
function passFromGuest(): string[] {
  const { headerBytes } = machine.link
  machine.fromGuest.offerFrame(Buffer.concat([Buffer.alloc(headerBytes), numberedFrame(0, 100)]))
  for (const [index, { type }] of KINDS.entries()) {
    const segment = type === 0 ? 0 : 500
    const bytes = header(headerBytes, 1, type, 54, segment, 34, 16)
    machine.fromGuest.offerFrame(Buffer.concat([bytes, numberedFrame(index + 1, 2_500)]))
  }
  machine.fromGuest.notify()
  machine.turn(2)
  machine.fromGuest.collect()
  return machine.received.map((frame, place) => {
    const number = frame.readUInt32BE(14)
    const { segmentation, segmentSize, checksumStart, trusted } = machine.descriptions[place]
    if (number === 0) {
      expect([segmentation, segmentSize, checksumStart, trusted]).toEqual([0, 0, 0, 0])
      return "plain"
    }
    const kind = KINDS[number - 1]
    expect([segmentation, checksumStart, trusted]).toEqual([kind.segmentation, 34, 1])
    if (kind.type > 0) expect(segmentSize).toBe(500)
    return kind.name
  })
}

function passToGuest(features: bigint): string[] {
  const frames = [numberedFrame(0, 100), ...KINDS.map((_, index) => numberedFrame(index + 1, 1_900))]
  const batch: FrameBatch = batchOf(frames)
  for (const [index, { segmentation }] of KINDS.entries()) {
    batch.segmentation[index + 1] = segmentation
    batch.segmentSize[index + 1] = segmentation === none ? 0 : 500
    batch.headerLength[index + 1] = segmentation === none ? 0 : 54
    batch.checksumStart[index + 1] = 34
    batch.checksumOffset[index + 1] = 16
  }
  machine.offerBuffers(Math.min(frames.length, machine.toGuest.free))
  expect(machine.link.send(batch, 0, frames.length)).toBe(frames.length)
  const arrived = machine.toGuest.collectFrames(has(features, [F.MRG_RXBUF])).map((bytes) => {
    const { headerBytes } = machine.link
    const frame = bytes.subarray(headerBytes)
    const number = frame.readUInt32BE(14)
    expect(frame).toEqual(frames[number])
    const kind = number === 0 ? undefined : KINDS[number - 1]
    const segment = kind === undefined || kind.type === 0 ? [0, 0] : [54, 500]
    const expected = kind === undefined ? header(headerBytes) : header(headerBytes, 1, kind.type, ...segment, 34, 16)
    if (headerBytes === 12) expected.writeUInt16LE(1, 10)
    expect(bytes.subarray(0, headerBytes)).toEqual(expected)
    return kind?.name ?? "plain"
  })
  return arrived
}

function check(features: bigint): void {
  const label = `features 0x${features.toString(16)}`
  agreeOn(features)
  const newHeader = has(features, [F.VERSION_1]) || has(features, [F.MRG_RXBUF])
  expect(machine.link.headerBytes, label).toBe(newHeader ? 12 : 10)
  const { checksumOffload, tcpSegmentation, udpSegmentation } = machine.link.capabilities
  expect([checksumOffload, tcpSegmentation, udpSegmentation], label).toEqual([
    has(features, [F.GUEST_CSUM]),
    has(features, [F.GUEST_CSUM, F.GUEST_TSO4, F.GUEST_TSO6]),
    has(features, [F.GUEST_CSUM, F.GUEST_USO4, F.GUEST_USO6]),
  ])
  const names = (direction: "fromGuest" | "toGuest"): string[] => [
    "plain",
    ...KINDS.filter((kind) => has(features, kind[direction])).map(({ name }) => name),
  ]
  expect(passFromGuest(), label).toEqual(names("fromGuest"))
  // Buffers that weren't used are there for the next round.
  expect(passToGuest(features), label).toEqual(names("toGuest"))
}

/** Gives the guest's driver empty rings. */
function restart(features: bigint): void {
  machine.stop()
  machine.start(features)
}

describe("frames pass as agreed on", () => {
  it("with every subset of the offloads", () => {
    restart(USUAL)
    for (const offloads of subsets(OFFLOADS)) check(USUAL | offloads)
  })

  it.each(subsets(RINGS).map((rings) => [rings.toString(16), rings] as const))("over rings with 0x%s", (_, rings) => {
    const features = rings | F.PROTOCOL_FEATURES
    restart(features)
    for (const [index, offloads] of subsets(OFFLOADS).entries()) if (index % 73 === 0) check(features | offloads)
  })
})

describe("frames that need more than was agreed on", () => {
  it("are counted", () => {
    const fresh = new Machine()
    fresh.start(USUAL)
    fresh.offerBuffers(2)
    const batch = batchOf([numberedFrame(1, 100), numberedFrame(2, 100), numberedFrame(3, 100)])
    batch.checksumStart[1] = 34
    expect(fresh.link.send(batch, 0, 3)).toBe(3)
    expect(fresh.toGuest.collectFrames(true)).toHaveLength(2)
    const first = Buffer.concat([header(12, 1, 0, 0, 0, 34, 16), numberedFrame(1, 100)])
    const second = Buffer.concat([header(12, 1, 1, 54, 100, 34, 16), numberedFrame(1, 100)])
    fresh.fromGuest.offerFrame(first)
    fresh.fromGuest.offerFrame(second)
    fresh.fromGuest.notify()
    fresh.turn()
    expect(fresh.received).toEqual([])
    expect(fresh.drops.entries()).toEqual([
      ["link: impossible segmentation", 1],
      ["link: checksum outside of the frame", 1],
      ["link: offload that the guest doesn't take", 1],
    ])
    fresh.close()
  })
})

describe("a header that lies", () => {
  const ALL = USUAL | OFFLOADS.reduce((all, bit) => all | bit, 0n)
  it.each([
    ["a segment of no bytes", header(12, 1, 1, 54, 0, 34, 16), "link: impossible segmentation"],
    ["segments without a checksum", header(12, 0, 1, 54, 500), "link: impossible segmentation"],
    ["an unknown segmentation", header(12, 1, 2, 54, 500, 34, 16), "link: impossible segmentation"],
    ["UDP fragments", header(12, 1, 3, 54, 500, 34, 6), "link: impossible segmentation"],
    ["UDP with ECN", header(12, 1, 0x85, 54, 500, 34, 6), "link: impossible segmentation"],
    ["a checksum behind the frame", header(12, 1, 0, 0, 0, 90, 9), "link: checksum outside of the frame"],
    ["a checksum far behind the frame", header(12, 1, 0, 0, 0, 65_535, 65_535), "link: checksum outside of the frame"],
    ["a checksum of the Ethernet header", header(12, 1, 0, 0, 0, 0, 20), "link: checksum outside of the frame"],
    ["a frame that is too short", header(12), "link: shorter than an Ethernet header", 13],
    ["no frame", header(12), "link: shorter than an Ethernet header", 0],
    ["half a header", header(12).subarray(0, 6), "link: shorter than an Ethernet header", 0],
  ])("is a counted drop: %s", (_, bytes, reason, length = 100) => {
    const fresh = new Machine()
    fresh.start(ALL)
    const good = Buffer.concat([header(12, 1, 0, 0, 0, 90, 8), numberedFrame(2, 100)])
    fresh.fromGuest.offerFrame(Buffer.concat([bytes, numberedFrame(1, 100).subarray(0, length)]))
    fresh.fromGuest.offerFrame(good)
    fresh.fromGuest.notify()
    fresh.turn()
    expect(fresh.received).toEqual([numberedFrame(2, 100)])
    expect(fresh.drops.entries()).toEqual([[reason, 1]])
    expect(fresh.backEnd.isConnected).toBe(true)
    fresh.close()
  })

  it("is believed nothing about verified checksums", () => {
    const fresh = new Machine()
    fresh.start(ALL)
    fresh.fromGuest.offerFrame(Buffer.concat([header(12, 2), numberedFrame(2, 100)]))
    fresh.fromGuest.notify()
    fresh.turn()
    expect(fresh.descriptions).toEqual([{ segmentation: 0, segmentSize: 0, checksumStart: 0, trusted: 0 }])
    fresh.close()
  })
})

describe("a front end that acknowledges what wasn't offered", () => {
  it("breaks the protocol", () => {
    for (const [request, value, name] of [
      [R.SET_FEATURES, 1n << 34n, "features that weren't offered: 0x400000000"],
      [R.SET_PROTOCOL_FEATURES, 1n << 12n, "protocol features that weren't offered: 0x1000"],
    ] as const) {
      const fresh = new Machine()
      fresh.socket.send(request, number64(value))
      fresh.turn()
      expect(fresh.lastEnd).toBe(`the front end broke the vhost-user protocol: it acknowledged ${name}`)
      expect(fresh.socket.isAtEnd).toBe(true)
      fresh.close()
    }
  })

  it("includes what an owner doesn't want to be offered", () => {
    const offered = USUAL & ~F.MRG_RXBUF
    const fresh = new Machine({ features: offered | (1n << 50n), protocolFeatures: PROTOCOL & ~8n })
    expect(fresh.askNumber(R.GET_FEATURES)).toBe(offered)
    expect(fresh.askNumber(R.GET_PROTOCOL_FEATURES)).toBe(PROTOCOL & ~8n)
    fresh.socket.send(R.SET_FEATURES, number64(USUAL))
    fresh.turn()
    expect(fresh.ends[0]?.kind).toBe("violation")
    fresh.close()
  })
})
