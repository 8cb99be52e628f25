import { ETHERNET_HEADER_LENGTH, FrameBatch, type Link, Segmentation } from "@demiflow/core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { sameBytes } from "../bytes.ts"
import { ethernet } from "../packets/build-network.ts"
import { buildPacket, patternBytes, payload, viewOf } from "../packets/layer.ts"

/** A link and its other end. */
export interface FrontendUnderTest {
  readonly link: Link
  /** Sends frames from the other end to the link. All of them must reach it, in their order. */
  send(frames: readonly Uint8Array[]): void | Promise<void>
  /** The frames that have reached the other end since the last call. */
  receive(): readonly Uint8Array[] | Promise<readonly Uint8Array[]>
  /** Lets a little time pass, for links that need it. */
  turn?(): void | Promise<void>
  /** Closes the other end, where a link notices that: `receive` must then return an error number. */
  hangUp?(): void | Promise<void>
  /** Releases the other end's resources, after the link was closed. */
  close?(): void | Promise<void>
}

/** For local experiments (IEEE 802, clause 9.2.4): nothing in between handles such frames. */
const EXPERIMENTAL = 0x88b5
const BATCH = 16
/** A number of frames that divides no size of a queue. */
const UNEVEN = 13
const REGION = 1 << 20
const TURNS = 2_000
const CANARY = 0xa5

/**
 * Tests the contract of `Link` of `@demiflow/core`: batches, order, places, headroom, partial acceptance,
 * closing. Call it inside a test file; it defines its tests with vitest.
 *
 * @param setup makes the link, anew for each group of tests; its arena has 2 MiB to spare
 */
export function frontendCompliance(setup: () => FrontendUnderTest | Promise<FrontendUnderTest>): void {
  describe("frames", () => frameTests(setup))
  describe("the end", () => endTests(setup))
}

/** State that the tests of a link share. */
class Bench {
  readonly under: FrontendUnderTest
  readonly link: Link
  readonly batch = new FrameBatch(BATCH)
  readonly region: number
  #number = 0

  constructor(under: FrontendUnderTest) {
    this.under = under
    this.link = under.link
    this.region = under.link.arena.reserve(REGION, 64)
  }

  /** A unique frame of this length. */
  frame(length: number): Uint8Array {
    const number = ++this.#number
    const head = ethernet({ source: "02:00:00:00:00:01", target: "02:00:00:00:00:02", etherType: EXPERIMENTAL })
    const content = patternBytes(length - ETHERNET_HEADER_LENGTH, number * 7)
    if (content.length >= 4) viewOf(content).setUint32(0, number)
    return buildPacket(head, payload(content))
  }

  /** Frames of sizes from the smallest to the largest. */
  frames(): Uint8Array[] {
    const largest = this.link.capabilities.mtu + ETHERNET_HEADER_LENGTH
    const sizes = [60, 61, 63, 64, 65, 128, 590, 1_000, 1_514, 9_014, 20_000, largest - 1, largest]
    return sizes.filter((size) => size <= largest).map((size) => this.frame(size))
  }

  /** Puts frames into the arena and the batch, between canaries. Returns the places of the canaries. */
  put(frames: readonly Uint8Array[]): { readonly offset: number; readonly length: number }[] {
    const { arena, capabilities } = this.link
    const canaries: { offset: number; length: number }[] = []
    let at = this.region
    const leave = (length: number) => {
      arena.bytes.fill(CANARY, at, at + length)
      canaries.push({ offset: at, length })
      at += length
    }
    for (const [index, frame] of frames.entries()) {
      leave(32)
      at += capabilities.headroom
      arena.bytes.set(frame, at)
      this.batch.setPlain(index, at, frame.length)
      at += frame.length
    }
    leave(32)
    this.batch.count = frames.length
    return canaries
  }

  /** Receives until `count` frames have arrived. Each is copied at once. */
  async receive(count: number): Promise<Uint8Array[]> {
    const all: Uint8Array[] = []
    await this.until(`${count} frames arrive, not ${all.length}`, () => {
      const received = this.link.receive(this.batch)
      expect(received).toBeGreaterThanOrEqual(0)
      expect(received).toBe(this.batch.count)
      expect(received).toBeLessThanOrEqual(BATCH)
      for (let index = 0; index < received; index++) {
        const frame = this.at(index)
        if (isOurs(frame)) all.push(frame)
      }
      return all.length >= count
    })
    return all
  }

  /** A copy of frame `index` of the batch. */
  at(index: number): Uint8Array {
    const offset = this.batch.offset[index]
    return this.link.arena.bytes.slice(offset, offset + this.batch.length[index])
  }

  /** Takes frames at the other end until `count` have arrived. */
  async collect(count: number): Promise<Uint8Array[]> {
    const all: Uint8Array[] = []
    for (let turn = 0; turn < TURNS && all.length < count; turn++) {
      all.push(...(await this.under.receive()).filter(isOurs))
      if (all.length < count) await this.turn()
    }
    return all
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    for (let turn = 0; turn < TURNS; turn++) {
      if (condition()) return
      await this.turn()
    }
    throw new Error(`It did not happen that ${what}`)
  }

  async turn(): Promise<void> {
    await this.under.turn?.()
  }
}

function useBench(setup: () => FrontendUnderTest | Promise<FrontendUnderTest>): () => Bench {
  let current: Bench | undefined
  beforeAll(async () => {
    current = new Bench(await setup())
  })
  afterAll(async () => {
    current?.link.close()
    await current?.under.close?.()
  })
  return () => {
    if (current === undefined) throw new Error("The link was not set up")
    return current
  }
}

function frameTests(setup: () => FrontendUnderTest | Promise<FrontendUnderTest>): void {
  const bench = useBench(setup)

  it("says what it can do, consistently", () => {
    const { mtu, headroom, checksumOffload, tcpSegmentation, udpSegmentation } = bench().link.capabilities
    expect(mtu).toBeGreaterThanOrEqual(68)
    expect(mtu).toBeLessThanOrEqual(65_535)
    expect(headroom).toBeGreaterThanOrEqual(0)
    // A link that splits a segment has to compute the checksums of the pieces.
    if (tcpSegmentation || udpSegmentation) expect(checksumOffload).toBe(true)
  })

  it("answers 0 when no frame waits", async () => {
    await bench().turn()
    let received = bench().link.receive(bench().batch)
    // The other end may also send frames of its own accord.
    while (received > 0) received = bench().link.receive(bench().batch)
    expect(received).toBe(0)
    expect(bench().batch.count).toBe(0)
  })

  it("receives frames of every size as they were sent", async () => {
    for (const frame of bench().frames()) {
      await bench().under.send([frame])
      const received = await bench().receive(1)
      expect(received).toHaveLength(1)
      expect(sameBytes(received[0], frame)).toBe(true)
    }
  })

  it("sends frames of every size as they are", async () => {
    for (const frame of bench().frames()) {
      bench().put([frame])
      expect(bench().link.send(bench().batch, 0, 1)).toBe(1)
      const arrived = await bench().collect(1)
      expect(arrived).toHaveLength(1)
      expect(sameBytes(arrived[0], frame)).toBe(true)
    }
  })

  it("receives in order, no more at a time than the batch takes", async () => {
    const frames = Array.from({ length: 5 * BATCH + 3 }, () => bench().frame(200))
    await bench().under.send(frames)
    expect(await bench().receive(frames.length)).toEqual(frames)
  })

  it("describes plain frames as plain", async () => {
    const { batch, link } = bench()
    batch.segmentation.fill(Segmentation.udp)
    batch.segmentSize.fill(99)
    batch.checksumStart.fill(99)
    await bench().under.send([bench().frame(200)])
    await bench().until("the frame arrives", () => link.receive(batch) > 0)
    expect([batch.segmentation[0], batch.segmentSize[0], batch.checksumStart[0]]).toEqual([0, 0, 0])
  })

  it("leaves received frames where they are until the next call, whatever is sent", async () => {
    const { batch, link, under } = bench()
    const frame = bench().frame(700)
    await under.send([frame])
    await bench().until("the frame arrives", () => link.receive(batch) > 0 && isOurs(bench().at(0)))
    const [offset, length] = [batch.offset[0], batch.length[0]]
    for (let round = 0; round < 5; round++) {
      bench().put([bench().frame(1_000)])
      link.send(batch, 0, 1)
      await under.send([bench().frame(700)])
      await bench().collect(1)
    }
    expect(sameBytes(link.arena.bytes.slice(offset, offset + length), frame)).toBe(true)
    await bench().receive(5)
  })

  it("sends the frames that it is asked to, and only these", async () => {
    const frames = Array.from({ length: 8 }, () => bench().frame(300))
    bench().put(frames)
    expect(bench().link.send(bench().batch, 2, 0)).toBe(0)
    expect(bench().link.send(bench().batch, 2, 3)).toBe(3)
    expect(await bench().collect(3)).toEqual(frames.slice(2, 5))
  })

  it("writes nowhere but into the headroom of the frames", async () => {
    const frames = Array.from({ length: BATCH }, () => bench().frame(400))
    const canaries = bench().put(frames)
    expect(bench().link.send(bench().batch, 0, BATCH)).toBe(BATCH)
    await bench().collect(BATCH)
    const { arena } = bench().link
    for (const { offset, length } of canaries) {
      expect(arena.bytes.slice(offset, offset + length).every((byte) => byte === CANARY)).toBe(true)
    }
    for (const [index, frame] of frames.entries()) expect(sameBytes(bench().at(index), frame)).toBe(true)
  })

  it("loses and repeats nothing that it took, when it takes a part only", async () => {
    const { link, batch } = bench()
    const sent: Uint8Array[] = []
    const arrived: Uint8Array[] = []
    let refusals = 0
    // Until the link has refused three times; a link that never refuses is offered 3,000 frames.
    while (refusals < 3 && sent.length < 3_000) {
      const frames = Array.from({ length: UNEVEN }, () => bench().frame(1_000))
      bench().put(frames)
      let taken = 0
      while (taken < UNEVEN) {
        const answer = Math.max(0, link.send(batch, taken, UNEVEN - taken))
        expect(answer).toBeLessThanOrEqual(UNEVEN - taken)
        taken += answer
        if (taken === UNEVEN) break
        refusals++
        arrived.push(...(await bench().collect(1)))
      }
      sent.push(...frames)
    }
    arrived.push(...(await bench().collect(sent.length - arrived.length)))
    const numbers = (frames: readonly Uint8Array[]) => frames.map((frame) => viewOf(frame).getUint32(14))
    if (refusals > 0) expect(numbers(arrived)).toEqual(numbers(sent))
    else expectInOrder(numbers(arrived), numbers(sent))
  }, 60_000)
}

/**
 * A link that never refuses may lose frames, because it counts drops as taken. It must not repeat or reorder frames.
 */
function expectInOrder(arrived: readonly number[], sent: readonly number[]): void {
  expect(arrived.length).toBeGreaterThan(0)
  expect(arrived.every((number, index) => index === 0 || number > arrived[index - 1])).toBe(true)
  expect(arrived.at(-1)).toBeLessThanOrEqual(sent.at(-1) ?? 0)
}

function endTests(setup: () => FrontendUnderTest | Promise<FrontendUnderTest>): void {
  const bench = useBench(setup)

  it("answers an error number behind the last frame when the other end is gone, if the link notices that", async () => {
    const { under, link, batch } = bench()
    if (under.hangUp === undefined) return
    const frames = [bench().frame(300), bench().frame(301)]
    await under.send(frames)
    for (let turn = 0; turn < 5; turn++) await bench().turn()
    await under.hangUp()
    // A stack that has received few frames asks again only if the link shows that its end is behind them.
    if (link.isOver !== undefined) await bench().until("the link shows its end", () => link.isOver === true)
    const arrived: Uint8Array[] = []
    await bench().until("the link has noticed", () => {
      const received = link.receive(batch)
      for (let index = 0; index < received; index++) if (isOurs(bench().at(index))) arrived.push(bench().at(index))
      if (link.isOver !== undefined) expect(link.isOver).toBe(true)
      return received < 0
    })
    expect(arrived).toEqual(frames.slice(0, arrived.length))
  })

  it("may be closed twice, and does nothing afterwards", async () => {
    const { link, batch } = bench()
    bench().put([bench().frame(100)])
    link.close()
    link.close()
    expect(() => link.send(batch, 0, 1)).not.toThrow()
    expect(link.receive(batch)).toBeLessThanOrEqual(0)
  })
}

function isOurs(frame: Uint8Array): boolean {
  return frame.length >= 60 && viewOf(frame).getUint16(12) === EXPERIMENTAL
}
