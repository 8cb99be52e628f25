import { expect, test } from "vitest"
import { type Listed, UseList } from "./use-list.ts"

interface Item extends Listed<Item> {
  readonly name: string
  lastActivity: number
}

const item = (name: string, lastActivity = 0): Item => ({
  name,
  lastActivity,
  list: undefined,
  older: undefined,
  newer: undefined,
  listedAt: 0,
})

test("what was added first is the least used one, until it is used", () => {
  const list = new UseList<Item>()
  const [first, second, third] = ["first", "second", "third"].map((name) => item(name))
  for (const each of [first, second, third]) list.add(each)
  expect(list.leastUsed()).toBe(first)
  first.lastActivity = 1
  expect(list.leastUsed()).toBe(second)
  second.lastActivity = third.lastActivity = 2
  // All were used since they were added: the least recently used one is next.
  expect(list.leastUsed()).toBe(first)
})

test("of those that were all used since, the one whose use is the longest ago is the least used, wherever it stands", () => {
  for (let least = 0; least < 20; least++) {
    const list = new UseList<Item>()
    const items = Array.from({ length: 20 }, (_, index) => item(`${index}`))
    for (const each of items) list.add(each)
    for (const each of items) each.lastActivity = 100
    items[least].lastActivity = 1
    expect(list.leastUsed()).toBe(items[least])
  }
})

test("a search sees a limited number, and the next one goes on behind them", () => {
  const list = new UseList<Item>()
  const items = Array.from({ length: 128 }, (_, index) => item(`${index}`))
  for (const each of items) list.add(each)
  // All were used since they were added, the last one least recently.
  for (const [index, each] of items.entries()) each.lastActivity = 1_000 - index
  expect(list.leastUsed()?.name).toBe("63")
  expect(list.leastUsed()?.name).toBe("127")
})

test("an item stands in one list at a time", () => {
  const [one, other] = [new UseList<Item>(), new UseList<Item>()]
  const only = item("only", 5)
  one.add(only)
  other.add(only)
  expect([one.count, other.count]).toEqual([0, 1])
  one.remove(only)
  expect(other.leastUsed()).toBe(only)
  other.remove(only)
  expect([other.count, other.oldest]).toEqual([0, undefined])
})
