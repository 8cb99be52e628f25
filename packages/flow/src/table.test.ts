import {
  Address,
  Demiflow,
  Drops,
  type FlowIndex,
  Interface,
  initiatingSide,
  NO_SIDE,
  oppositeSide,
  PlaceShare,
  type SideRef,
  targetSide,
} from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, it, vi } from "vitest"
import { KeyedHash } from "./hash.ts"
import { FixedFlowTable, FlowStageError } from "./table.ts"

const TCP = 6
const UDP = 17
let seed = 1
const random = { int32: () => (seed = (Math.imul(seed, 1103515245) + 12345) | 0) }

function tapSide(correspondentPort: number, forwarding = "198.51.100.7", correspondent = "192.0.2.2"): Demiflow {
  return Demiflow.of(Interface.tap, Address.parse(forwarding), 80, Address.parse(correspondent), correspondentPort)
}

function hostSide(correspondentPort: number): Demiflow {
  return Demiflow.of(
    Interface.host,
    Address.parse("192.0.2.2"),
    51111,
    Address.parse("198.51.100.7"),
    correspondentPort,
  )
}

function table(capacity: number, drops = new Drops()): FixedFlowTable {
  return new FixedFlowTable({ capacity, random, drops })
}

function add(flows: FixedFlowTable, initiating: Demiflow, protocol = TCP, target = hostSide(80)): FlowIndex {
  const created = flows.allocate(0, protocol)
  return flows.activate(flows.target(flows.initiate(created, initiating), target))
}

/** Calls the function while the runtime has memory for this many arrays, and for no more. */
function whileAllocationFails<Result>(succeeding: number, act: () => Result): Result {
  let left = succeeding
  for (const type of [Uint8Array, Int32Array, Float64Array]) {
    const construct: ProxyHandler<typeof type>["construct"] = (_, parameters) => {
      if (left-- <= 0) throw new RangeError("Array buffer allocation failed")
      return Reflect.construct(type, parameters)
    }
    vi.stubGlobal(type.name, new Proxy(type, { construct }))
  }
  try {
    return act()
  } finally {
    vi.unstubAllGlobals()
  }
}

describe("FixedFlowTable", () => {
  it("finds an active flow by its initiating side, and crosses over to the other", () => {
    const flows = table(8)
    const flow = add(flows, tapSide(40000))
    const side = flows.lookup(TCP, tapSide(40000))
    expect(side).toBe(initiatingSide(flow))
    const read = new Demiflow()
    flows.readSide(oppositeSide(side), read)
    expect(read.equals(hostSide(80))).toBe(true)
    flows.readSide(side, read)
    expect(read.equals(tapSide(40000))).toBe(true)
  })

  it("finds a flow at no stage before the last", () => {
    const flows = table(8)
    const created = flows.allocate(3, TCP)
    expect(flows.lookup(TCP, tapSide(1))).toBe(NO_SIDE)
    const initiated = flows.initiate(created, tapSide(1))
    expect(flows.lookup(TCP, tapSide(1))).toBe(NO_SIDE)
    const targeted = flows.target(initiated, hostSide(80))
    expect(flows.lookup(TCP, tapSide(1))).toBe(NO_SIDE)
    expect(flows.handlerOf(0 as FlowIndex)).toBe(-1)
    expect(flows.handlerOf(flows.activate(targeted))).toBe(3)
  })

  it("refuses calls at the wrong stage", () => {
    const flows = table(8)
    const created = flows.allocate(0, TCP)
    const initiated = flows.initiate(created, tapSide(1))
    expect(() => flows.initiate(created, tapSide(1))).toThrow(FlowStageError)
    const flow = flows.activate(flows.target(initiated, hostSide(80)))
    expect(() => flows.cancel(initiated)).toThrow(FlowStageError)
    flows.release(flow)
    expect(() => flows.release(flow)).toThrow(FlowStageError)
  })

  it("distinguishes protocols, interfaces and every word of an address", () => {
    const flows = table(64)
    const flow = add(flows, tapSide(1))
    expect(flows.lookup(UDP, tapSide(1))).toBe(NO_SIDE)
    const elsewhere = tapSide(1)
    elsewhere.interface = Interface.splice
    expect(flows.lookup(TCP, elsewhere)).toBe(NO_SIDE)
    for (const word of ["word0", "word1", "word2", "word3"] as const) {
      const other = tapSide(1)
      other.correspondentAddress[word] ^= 1
      expect(flows.lookup(TCP, other)).toBe(NO_SIDE)
    }
    expect(flows.lookup(TCP, tapSide(1))).toBe(initiatingSide(flow))
  })

  it("finds a side again and again, until its flow ends or its place has another", () => {
    const flows = table(1)
    const first = add(flows, tapSide(1))
    for (let times = 0; times < 3; times++) expect(flows.lookup(TCP, tapSide(1))).toBe(initiatingSide(first))
    flows.release(first)
    expect(flows.lookup(TCP, tapSide(1))).toBe(NO_SIDE)
    flows.endTurn()
    const second = add(flows, tapSide(2))
    expect(second).toBe(first)
    expect(flows.lookup(TCP, tapSide(1))).toBe(NO_SIDE)
    expect(flows.lookup(TCP, tapSide(2))).toBe(initiatingSide(second))
    expect(flows.lookup(UDP, tapSide(2))).toBe(NO_SIDE)
  })

  it("finds the target side once that was asked for", () => {
    const flows = table(8)
    const flow = add(flows, tapSide(1))
    expect(flows.lookup(TCP, hostSide(80))).toBe(NO_SIDE)
    flows.makeTargetFindable(flow)
    expect(flows.lookup(TCP, hostSide(80))).toBe(targetSide(flow))
    flows.release(flow)
    expect(flows.lookup(TCP, hostSide(80))).toBe(NO_SIDE)
  })

  it("refuses exactly beyond its capacity and counts that", () => {
    const drops = new Drops()
    const flows = table(3, drops)
    const all = [1, 2, 3].map((port) => add(flows, tapSide(port)))
    expect(flows.allocate(0, TCP)).toBeLessThan(0)
    expect(drops.get("flow: table full")).toBe(1)
    expect(flows.size).toBe(3)
    flows.release(all[1])
    expect(flows.allocate(0, TCP), "not again in the same turn").toBeLessThan(0)
    flows.endTurn()
    expect(flows.allocate(0, TCP)).toBe(all[1])
    expect(flows.size).toBe(3)
  })

  it("keeps the last places for those who may have them", () => {
    const drops = new Drops()
    const flows = table(32, drops)
    for (let port = 1; port <= 28; port++) add(flows, tapSide(port))
    const { fromOutside, exchanges, all } = PlaceShare
    expect([fromOutside, exchanges, all].map((share) => flows.room(share))).toEqual([0, 2, 4])
    expect(flows.allocate(0, TCP, fromOutside)).toBeLessThan(0)
    for (const share of [exchanges, exchanges]) expect(flows.allocate(0, TCP, share)).toBeGreaterThanOrEqual(0)
    expect(flows.allocate(0, TCP, exchanges)).toBeLessThan(0)
    for (const share of [all, undefined]) expect(flows.allocate(0, TCP, share)).toBeGreaterThanOrEqual(0)
    expect(flows.allocate(0, TCP)).toBeLessThan(0)
    expect(drops.get("flow: table full")).toBe(3)
    expect(flows.room(fromOutside)).toBe(-4)
  })

  it("gives a cancelled place out again at once, but never one released in this turn", () => {
    const flows = table(2)
    const released = add(flows, tapSide(1))
    const cancelled = flows.allocate(0, TCP)
    flows.release(released)
    flows.cancel(cancelled)
    expect(flows.allocate(0, TCP)).toBe(cancelled)
    expect(flows.allocate(0, TCP)).toBeLessThan(0)
    flows.endTurn()
    expect(flows.allocate(0, TCP)).toBe(released)
  })

  it("expires what is due, earliest first, once", () => {
    const flows = table(8)
    const [a, b, c] = [1, 2, 3].map((port) => add(flows, tapSide(port)))
    flows.schedule(a, 30)
    flows.schedule(b, 10)
    flows.schedule(c, 20)
    flows.schedule(c, 40)
    flows.unschedule(a)
    expect(flows.nextDeadline()).toBe(10)
    const seen: FlowIndex[] = []
    flows.expire(39, (flow) => seen.push(flow))
    expect(seen).toEqual([b])
    flows.release(c)
    expect(flows.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
  })

  it("visits some of many that are due at once, and the others when it is asked again", () => {
    const flows = table(1_000)
    for (let port = 0; port < 1_000; port++) flows.schedule(add(flows, tapSide(port)), port)
    const seen: FlowIndex[] = []
    for (let calls = 1; flows.nextDeadline() <= 1_000; calls++) {
      flows.expire(1_000, (flow) => seen.push(flow))
      expect(seen.length).toBeLessThanOrEqual(calls * 64)
    }
    expect(seen).toHaveLength(1_000)
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
  })

  it("agrees with a map, whatever is added and removed (property)", () => {
    const step = fc.record({ port: fc.integer({ min: 0, max: 40 }), add: fc.boolean(), endTurn: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.constantFrom(1, 3, 32), (steps, initialPlaces) => {
        const flows = new FixedFlowTable({ capacity: 32, initialPlaces, random, drops: new Drops() })
        const model = new Map<number, FlowIndex>()
        for (const { port, add: isAdd, endTurn } of steps) {
          const known = model.get(port)
          if (isAdd && known === undefined && flows.size < flows.capacity) {
            const created = flows.allocate(0, TCP)
            if (created >= 0) {
              model.set(port, flows.activate(flows.target(flows.initiate(created, tapSide(port)), hostSide(port))))
            }
          } else if (!isAdd && known !== undefined) {
            flows.release(known)
            model.delete(port)
          }
          if (endTurn) flows.endTurn()
          for (let check = 0; check <= 40; check++) {
            const flow = model.get(check)
            const side: SideRef = flow === undefined ? NO_SIDE : initiatingSide(flow)
            if (flows.lookup(TCP, tapSide(check)) !== side) return false
          }
          if (flows.size !== model.size) return false
        }
        return true
      }),
      { numRuns: 60 },
    )
  })

  it("keeps flows, their deadlines and places released when it grows, up to its capacity", () => {
    const flows = new FixedFlowTable({ capacity: 7, initialPlaces: 2, random, drops: new Drops() })
    const [first, second] = [1, 2].map((port) => add(flows, tapSide(port)))
    flows.makeTargetFindable(second)
    flows.schedule(first, 20)
    flows.schedule(second, 10)
    flows.release(first)
    const later = [3, 4, 5, 6].map((port) => add(flows, tapSide(port)))
    flows.schedule(later[3], 5)
    expect(flows.lookup(TCP, tapSide(2))).toBe(initiatingSide(second))
    expect(flows.lookup(TCP, hostSide(80))).toBe(targetSide(second))
    flows.endTurn()
    expect(flows.allocate(0, TCP)).toBe(first)
    expect(flows.allocate(0, TCP)).toBe(6)
    expect(flows.allocate(0, TCP)).toBeLessThan(0)
    const due: FlowIndex[] = []
    flows.expire(30, (flow) => due.push(flow))
    expect(due).toEqual([later[3], second])
    expect(() => new FixedFlowTable({ initialPlaces: 0, random, drops: new Drops() })).toThrow(RangeError)
  })

  it("refuses a flow, and is as it was, whichever array there is no memory for", () => {
    const drops = new Drops()
    const flows = new FixedFlowTable({ capacity: 8, initialPlaces: 4, random, drops })
    const first = [1, 2, 3, 4].map((port) => add(flows, tapSide(port)))
    for (const [index, flow] of first.entries()) flows.schedule(flow, 10 * index)
    let failures = 0
    while (whileAllocationFails(failures, () => flows.allocate(0, TCP)) < 0) {
      failures++
      expect(drops.get("flow: table full")).toBe(failures)
      expect([flows.size, flows.nextDeadline()]).toEqual([4, 0])
      for (const [index, flow] of first.entries()) {
        expect(flows.lookup(TCP, tapSide(index + 1))).toBe(initiatingSide(flow))
      }
    }
    expect(failures).toBe(11)
    flows.endTurn()
    const later = [5, 6, 7, 8].map((port) => add(flows, tapSide(port)))
    for (const [index, flow] of later.entries()) {
      flows.schedule(flow, 100)
      expect(flows.lookup(TCP, tapSide(index + 5))).toBe(initiatingSide(flow))
    }
    const due: FlowIndex[] = []
    flows.expire(100, (flow) => due.push(flow))
    expect(due.sort()).toEqual([...first, ...later])
  })

  it("holds 131,072 flows", () => {
    const flows = new FixedFlowTable({ random, drops: new Drops() })
    const side = tapSide(0)
    const target = hostSide(80)
    for (let flow = 0; flow < flows.capacity; flow++) {
      side.correspondentAddress.word0 = flow
      add(flows, side, TCP, target)
    }
    expect(flows.size).toBe(131_072)
    side.correspondentAddress.word0 = 77_777
    expect(flows.lookup(TCP, side)).toBe(initiatingSide(77_777 as FlowIndex))
    expect(flows.allocate(0, TCP)).toBeLessThan(0)
  })
})

describe("the nine points of docs/addresses.md", () => {
  it("7. `Demiflow` is one type for all protocols, with helpers to make one.", () => {
    const flows = table(8)
    const echo = Demiflow.of(Interface.tap, Address.parse("2001:db8::1"), 77, Address.parse("2001:db8::2"), 77)
    const flow = [TCP, UDP, 58].map((protocol) => add(flows, echo, protocol))
    expect([TCP, UDP, 58].map((protocol) => flows.lookup(protocol, echo) >> 1)).toEqual(flow)
  })

  it("8. The hash of a flow is the keyed hash of its demiflow (plus protocol and interface), in one place, shared by every protocol.", () => {
    const words = Int32Array.from({ length: 10 }, (_, index) => index * 77)
    const one = new KeyedHash(1, 2)
    const other = new KeyedHash(1, 3)
    expect(one.hash(words, 0, 10)).toBe(new KeyedHash(1, 2).hash(words, 0, 10))
    expect(one.hash(words, 0, 10)).not.toBe(other.hash(words, 0, 10))
    for (let word = 0; word < 10; word++) {
      const changed = words.slice()
      changed[word] ^= 1
      expect(one.hash(changed, 0, 10), `word ${word}`).not.toBe(one.hash(words, 0, 10))
    }
  })

  it("9. one flow table for TCP, spliced TCP, UDP and ICMP echo", () => {
    const flows = table(8)
    const spliced = tapSide(5)
    spliced.interface = Interface.splice
    const all = [
      add(flows, tapSide(5), TCP),
      add(flows, spliced, TCP),
      add(flows, tapSide(5), UDP),
      add(flows, tapSide(5), 1),
    ]
    expect(new Set(all).size).toBe(4)
    expect(flows.size).toBe(4)
  })
})
