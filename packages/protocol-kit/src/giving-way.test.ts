import { type FlowIndex, type NewFlow, PlaceShare, type PlaceShareId } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Candidates, FAIR_TIME, longerResting, type MayGiveWay, takePlace } from "./giving-way.ts"

const flow = (lastActivity: number): MayGiveWay => ({
  flow: 0 as FlowIndex,
  lastActivity,
  list: undefined,
  listedAt: 0,
  older: undefined,
  newer: undefined,
})

describe("what may give way", () => {
  test("of the unanswered is the one that had a fair time, and rested longest", () => {
    const candidates = new Candidates<MayGiveWay>()
    const [first, second] = [flow(1), flow(2)]
    for (const each of [flow(0), flow(0)]) candidates.answered.add(each)
    for (const each of [first, second]) candidates.unanswered.add(each)
    expect(candidates.waitedInVain(FAIR_TIME)).toBeUndefined()
    expect(candidates.waitedInVain(FAIR_TIME + 1)).toBe(first)
  })

  test("is one of the unanswered at once, where these are more than the answered", () => {
    const candidates = new Candidates<MayGiveWay>()
    const [first, second] = [flow(1), flow(2)]
    candidates.answered.add(flow(0))
    for (const each of [first, second]) candidates.unanswered.add(each)
    expect(candidates.waitedInVain(3)).toBe(first)
  })

  test("of the answered is the one that has rested longest, if long enough", () => {
    const candidates = new Candidates<MayGiveWay>()
    const [first, second] = [flow(10), flow(20)]
    for (const each of [first, second]) candidates.answered.add(each)
    expect(candidates.resting(9)).toBeUndefined()
    expect(candidates.resting(10)).toBe(first)
    expect(candidates.leastUsed()).toBe(first)
    const older = flow(5)
    candidates.unanswered.add(older)
    expect(candidates.leastUsed()).toBe(older)
  })

  test("is the first of two that have rested as long", () => {
    const [one, other] = [flow(1), flow(1)]
    expect(longerResting(one, other)).toBe(one)
    expect(longerResting(undefined, other)).toBe(other)
    expect(longerResting(one, undefined)).toBe(one)
  })
})

describe("a place of the flow table", () => {
  const setUp = (rooms: Partial<Record<PlaceShareId, number>>, spared: boolean) => {
    const asked: PlaceShareId[] = []
    const taken: PlaceShareId[] = []
    const components = {
      flows: {
        room: (share: PlaceShareId) => rooms[share] ?? 0,
        allocate: (_handler: number, _protocol: number, share: PlaceShareId) => taken.push(share) as NewFlow,
      },
      handlerNumber: 1,
      makeRoom: (share: PlaceShareId) => {
        asked.push(share)
        return spared
      },
    } as unknown as Parameters<typeof takePlace>[0]
    return { components, asked, taken }
  }

  test("is taken from the share while that has one", () => {
    const { components, asked, taken } = setUp({ [PlaceShare.fromOutside]: 1, [PlaceShare.all]: 5 }, true)
    takePlace(components, 17, PlaceShare.fromOutside)
    expect([asked, taken]).toEqual([[], [PlaceShare.fromOutside]])
  })

  test("is that of a flow that gives way, where the share has none", () => {
    const { components, asked, taken } = setUp({ [PlaceShare.all]: 5 }, true)
    takePlace(components, 17, PlaceShare.fromOutside)
    expect([asked, taken]).toEqual([[PlaceShare.fromOutside], [PlaceShare.all]])
  })

  test("is never one of those that are kept, where nothing gives way", () => {
    const { components, taken } = setUp({ [PlaceShare.all]: 5 }, false)
    takePlace(components, 17, PlaceShare.exchanges, () => false)
    takePlace(components, 17, PlaceShare.exchanges, () => true)
    expect(taken).toEqual([PlaceShare.exchanges, PlaceShare.all])
  })

  test("costs no other flow its own in a full table, where it would be free too late", () => {
    const { components, asked, taken } = setUp({}, true)
    takePlace(components, 17, PlaceShare.exchanges, () => true)
    expect([asked, taken]).toEqual([[], [PlaceShare.exchanges]])
  })
})
