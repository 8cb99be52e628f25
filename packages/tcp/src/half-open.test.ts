import { expect, test } from "vitest"
import { TcpConnection } from "./connection.ts"
import { HalfOpen } from "./half-open.ts"

/** What is given up, by its crowd, beside the list itself. */
function setUp(most: number) {
  const ended: number[] = []
  const list = new HalfOpen(most, ({ halfOpen }) => {
    if (halfOpen === undefined) throw new Error("it is not half open")
    ended.push(halfOpen.crowd)
    list.remove(halfOpen)
  })
  const add = (crowd: number, begunAt = 0) => list.add(new TcpConnection(), crowd, begunAt)
  const wait = (crowd: number) => list.addWaiting(new TcpConnection(), crowd, 0)
  return { ended, list, add, wait }
}

test("a crowd that is full ends none of a smaller one, where many of those are older than its own", () => {
  const { ended, list, add } = setUp(400)
  for (let crowd = 1; crowd <= 100; crowd++) add(crowd)
  while (!list.isFull(200)) add(200, 1)
  expect([list.giveWay(5_000, 200), ended]).toEqual([false, []])
  // A crowd that has no more than that of the oldest one does end it.
  expect([list.giveWay(5_000, 300), ended]).toEqual([true, [1]])
  expect([list.giveWay(5_000), ended]).toEqual([true, [1, 2]])
})

test("a crowd that is full ends its own oldest one, if it is among the oldest of all", () => {
  const { ended, list, add } = setUp(400)
  for (let crowd = 1; crowd <= 50; crowd++) add(crowd)
  while (!list.isFull(200)) add(200, 1)
  expect([list.giveWay(1_000, 200), list.giveWay(1_001, 200), ended]).toEqual([false, true, [200]])
})

test("one of each other crowd may wait for a socket, however many of one crowd do already", () => {
  const { list, wait, add } = setUp(4_096)
  while (!list.isFull(1)) wait(1)
  expect(list.isQueueFull(1)).toBe(false)
  for (let count = 0; count < 256; count++) list.takeWaiting()
  expect([list.isQueueFull(1), list.isQueueFull(2)]).toEqual([true, false])
  wait(2)
  expect([list.isQueueFull(2), list.isQueueFull(3)]).toEqual([true, false])
  // Unless there is no place at all.
  while (!list.isFull(3)) add(4)
  expect(list.isQueueFull(3)).toBe(true)
})

test("where many are unanswered or many wait, sockets are opened at the slower pace", () => {
  const { list, wait } = setUp(64)
  for (let count = 0; count < 15; count++) wait(1)
  expect(list.isFlooded).toBe(false)
  wait(1)
  expect([list.isFlooded, list.isBusy]).toEqual([true, false])
  list.takeWaiting()
  expect(list.isFlooded).toBe(false)
  for (let count = 1; count < 16; count++) list.takeWaiting()
  expect([list.isFlooded, list.isBusy]).toEqual([true, true])
})
