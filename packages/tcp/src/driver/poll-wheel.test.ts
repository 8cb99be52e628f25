import { SeededRandom } from "@demiflow/testkit"
import { expect, test } from "vitest"
import { PollWheel } from "./poll-wheel.ts"
import { TcpConnection } from "./tcp-connection.ts"

/** Removes and returns all that are due. */
function due(wheel: PollWheel, now: number): TcpConnection[] {
  const found: TcpConnection[] = []
  for (let one = wheel.takeDue(now); one !== undefined; one = wheel.takeDue(now)) found.push(one)
  return found
}

test("connections are due at their time, the earliest first", () => {
  const wheel = new PollWheel()
  const [a, b, c] = [new TcpConnection(), new TcpConnection(), new TcpConnection()]
  wheel.set(a, 1_500)
  wheel.set(b, 1_010)
  wheel.set(c, 1_020)
  expect(wheel.next()).toBe(1_010)
  expect(due(wheel, 1_009)).toEqual([])
  expect(due(wheel, 1_020)).toEqual([b, c])
  expect(wheel.next()).toBe(1_500)
  expect(due(wheel, 1_500)).toEqual([a])
  expect(wheel.next()).toBe(Number.POSITIVE_INFINITY)
})

test("a time that is set again counts instead, earlier or later", () => {
  const wheel = new PollWheel()
  const [a, b] = [new TcpConnection(), new TcpConnection()]
  wheel.set(a, 100)
  wheel.set(b, 200)
  wheel.set(a, 300)
  wheel.set(b, 50)
  expect(due(wheel, 299)).toEqual([b])
  expect(due(wheel, 300)).toEqual([a])
})

test("one that was taken out is not due, and may be taken out twice", () => {
  const wheel = new PollWheel()
  const [a, b, c] = [new TcpConnection(), new TcpConnection(), new TcpConnection()]
  for (const connection of [a, b, c]) wheel.set(connection, 7)
  wheel.clear(b)
  wheel.clear(b)
  expect(due(wheel, 10)).toEqual([a, c])
})

test("those that are asked late come before those that have the same slot a turn of the wheel later", () => {
  const wheel = new PollWheel()
  const [a, b, c] = [new TcpConnection(), new TcpConnection(), new TcpConnection()]
  wheel.set(a, 1_000)
  wheel.set(b, 1_000)
  expect(wheel.takeDue(1_030)).toBe(a)
  wheel.set(a, 1_000 + 1_024)
  wheel.set(c, 1_025)
  expect(due(wheel, 1_030)).toEqual([b, c])
  expect(wheel.next()).toBe(2_024)
})

test("a clock that leaps passes nobody over", () => {
  const wheel = new PollWheel()
  const all = Array.from({ length: 1_000 }, () => new TcpConnection())
  for (const [index, connection] of all.entries()) wheel.set(connection, 1_000 + index)
  expect(due(wheel, 10_000_000)).toHaveLength(1_000)
  wheel.set(all[0], 10_000_900)
  expect(due(wheel, 10_000_899)).toEqual([])
  expect(wheel.next()).toBe(10_000_900)
})

test("agrees with a list that is searched (property)", () => {
  const random = new SeededRandom(7)
  const wheel = new PollWheel()
  const all = Array.from({ length: 50 }, () => new TcpConnection())
  const times = new Map<TcpConnection, number>()
  for (let now = 0, step = 0; step < 20_000; step++) {
    const connection = all[(random.int32() >>> 0) % all.length]
    const kind = (random.int32() >>> 0) % 10
    if (kind < 6) {
      const at = now + 1 + ((random.int32() >>> 0) % 1_000)
      wheel.set(connection, at)
      times.set(connection, at)
    } else if (kind < 8) {
      wheel.clear(connection)
      times.delete(connection)
    } else {
      now += (random.int32() >>> 0) % 60
      const expected = all.filter((one) => (times.get(one) ?? Number.POSITIVE_INFINITY) <= now)
      expect(new Set(due(wheel, now))).toEqual(new Set(expected))
      for (const one of expected) times.delete(one)
      expect(wheel.next()).toBe(Math.min(Number.POSITIVE_INFINITY, ...times.values()))
    }
  }
})
