import { Address, type Demiflow, type SideRef } from "@demiflow/core"
import type { SharedPort } from "@demiflow/protocol-kit"
import { SeededRandom } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { type Correspondence, Correspondents } from "./correspondents.ts"

const sides: Address[] = []
const table = {
  readSide: (side: SideRef, into: Demiflow) => {
    into.correspondentAddress.copyFrom(sides[side])
  },
}
const port = { number: 5000 } as SharedPort

class Flow implements Correspondence {
  readonly port = port
  readonly correspondent: Address
  readonly hostSide: SideRef
  olderAlike: Correspondence | undefined = undefined
  newerAlike: Correspondence | undefined = undefined
  alikeKey = 0

  constructor(correspondent: Address) {
    this.correspondent = correspondent
    this.hostSide = (sides.push(correspondent) - 1) as SideRef
  }
}

describe("correspondents of the guest's ports", () => {
  test("are found by their address, at their port, the newest flow first", () => {
    const correspondents = new Correspondents<Flow>(table, { int32: () => 7 })
    const address = Address.parse("2001:db8::1")
    const [older, newer] = [new Flow(address), new Flow(address)]
    for (const flow of [older, newer]) correspondents.add(flow, port, flow.correspondent)
    expect(correspondents.find(port, address)).toBe(newer)
    expect(correspondents.find(port, Address.parse("2001:db8::2"))).toBeUndefined()
    expect(correspondents.find({ number: 5000 } as SharedPort, address)).toBeUndefined()
    correspondents.remove(newer)
    expect(correspondents.find(port, address)).toBe(older)
    correspondents.remove(older)
    expect(correspondents.find(port, address)).toBeUndefined()
  })

  test("can't be chosen so that two have one hash whatever the key is", () => {
    const one = Address.parse("2001:db8::1")
    // Differences that cancel each other out in multiplicative mixing, for one key in a hundred.
    const other = one.clone()
    other.word2 ^= 0x8000_0000
    other.word3 ^= 0xca95_0000
    for (let key = 0; key < 2000; key++) {
      const correspondents = new Correspondents<Flow>(table, new SeededRandom(key))
      const flows = [new Flow(one), new Flow(other)]
      for (const flow of flows) correspondents.add(flow, port, flow.correspondent)
      expect(flows[0].alikeKey).not.toBe(flows[1].alikeKey)
    }
  })
})
