import { expect, test } from "vitest"
import { HalfOpen } from "./half-open.ts"
import { TcpConnection } from "./tcp-connection.ts"

/** Returns a list, and the connections that gave way, by their crowd. */
function setUp(most: number) {
  const ended: number[] = []
  const crowds = new Map<TcpConnection, number>()
  const list = new HalfOpen(most, (connection) => {
    ended.push(crowds.get(connection) ?? -1)
    connection.beginning?.finish()
  })
  const begin = (crowd: number) => {
    const connection = new TcpConnection()
    crowds.set(connection, crowd)
    return connection
  }
  const add = (crowd: number, begunAt = 0) => list.add(begin(crowd), crowd, begunAt)
  const wait = (crowd: number) => list.addWaiting(begin(crowd), crowd, 0)
  return { ended, list, add, wait }
}

test("a crowd that is full ends its own oldest one and none of a smaller crowd, however many of those are older", () => {
  const { ended, list, add } = setUp(400)
  for (let crowd = 1; crowd <= 100; crowd++) add(crowd)
  add(200, 1)
  while (!list.isFull(200)) add(200, 4_500)
  expect([list.giveWay(1_000, 200), list.giveWay(1_001, 200), ended]).toEqual([false, true, [200]])
  // The next one has not had a fair time.
  expect([list.giveWay(5_000, 200), ended]).toEqual([false, [200]])
  // A crowd with no more connections than that of the oldest one ends the oldest one.
  expect([list.giveWay(5_000, 300), ended]).toEqual([true, [200, 1]])
  expect([list.giveWay(5_000, 50), ended]).toEqual([true, [200, 1, 2]])
  expect([list.giveWay(5_000), ended]).toEqual([true, [200, 1, 2, 3]])
})

test("a crowd's oldest one is known, whichever of its others end before", () => {
  const { ended, list, add } = setUp(400)
  add(1)
  const [first, second, third, fourth] = [0, 1, 2, 3].map((begunAt) => add(2, begunAt))
  list.remove(second)
  list.remove(first)
  list.remove(fourth)
  add(2, 4)
  expect([list.giveWay(1_001, 2), list.giveWay(1_002, 2), ended]).toEqual([false, true, [2]])
  expect([third.connection.beginning, list.giveWay(1_003, 2)]).toEqual([undefined, true])
  // By then, the crowd's one place is no more than the oldest one's crowd has.
  expect(ended).toEqual([2, 1])
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
