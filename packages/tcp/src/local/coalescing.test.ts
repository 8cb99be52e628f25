import type { Host } from "@demiflow/core"
import { expect, test } from "vitest"
import { Coalescing } from "./coalescing.ts"
import { FakePipes, FROM, TO } from "./fake-pipes.fixture.ts"
import { SplicedConnection } from "./spliced-connection.ts"

const MUCH = 8 << 20

function setUp() {
  const pipes = new FakePipes()
  const connection = new SplicedConnection({} as Host, {} as Host)
  connection.flow = 7 as typeof connection.flow
  const { host } = pipes
  connection.forth.reset(FROM, host, TO, host)
  connection.back.reset(TO, host, FROM, host)
  const coalescing = new Coalescing(pipes)
  const looked: number[] = []
  /** What a look brings. */
  let brought = 0
  const tick = (now: number) =>
    coalescing.tick(now, ({ flow, forth }) => {
      looked.push(flow)
      forth.recentBytes += brought
    })
  return {
    pipes,
    connection,
    coalescing,
    looked,
    tick,
    bring: (bytes: number) => {
      brought = bytes
    },
  }
}

test("a socket on which little comes speaks up at once", () => {
  const { pipes, connection, coalescing } = setUp()
  expect(coalescing.note(connection, connection.forth, 1000, 5)).toBe(false)
  expect(pipes.watermarks).toEqual([])
  expect(coalescing.nextLook).toBe(Number.POSITIVE_INFINITY)
})

test("one on which much comes waits for more, and is looked at every millisecond until little came", () => {
  const { pipes, connection, coalescing, looked, tick, bring } = setUp()
  expect(coalescing.note(connection, connection.forth, MUCH, 5)).toBe(true)
  const [[socket, watermark]] = pipes.watermarks
  expect([socket, watermark > 1]).toEqual([FROM, true])
  expect(coalescing.note(connection, connection.forth, MUCH, 5)).toBe(false)
  expect(tick(5)).toBe(6)
  expect(looked).toEqual([])
  bring(MUCH)
  expect(tick(6)).toBe(7)
  expect(tick(7)).toBe(8)
  bring(10)
  expect(tick(8)).toBe(Number.POSITIVE_INFINITY)
  expect(looked).toEqual([7, 7, 7])
  expect(pipes.watermarks.slice(1)).toEqual([[FROM, 1]])
  expect(connection.isCoalescing).toBe(false)
})

test("one whose ends take turns speaks up at once, however much they say", () => {
  const { pipes, connection, coalescing } = setUp()
  for (let turn = 0; turn < 100; turn++) {
    expect(coalescing.note(connection, connection.forth, 1 << 20, 5)).toBe(false)
    expect(coalescing.note(connection, connection.back, 100, 5)).toBe(false)
  }
  expect(pipes.watermarks).toEqual([])
})

test("it is left alone again once the other end speaks", () => {
  const { pipes, connection, coalescing, tick, bring } = setUp()
  coalescing.note(connection, connection.forth, MUCH, 5)
  coalescing.note(connection, connection.back, 1, 5)
  bring(MUCH)
  expect(tick(6)).toBe(Number.POSITIVE_INFINITY)
  expect(pipes.watermarks.at(-1)).toEqual([FROM, 1])
})

test("a connection that has ended is forgotten", () => {
  const { connection, coalescing, looked, tick } = setUp()
  coalescing.note(connection, connection.forth, MUCH, 5)
  connection.flow = -1 as typeof connection.flow
  connection.forth.isCoalescing = false
  expect(tick(6)).toBe(Number.POSITIVE_INFINITY)
  expect(looked).toEqual([])
  connection.flow = 8 as typeof connection.flow
  expect(coalescing.note(connection, connection.back, MUCH, 9)).toBe(true)
  tick(10)
  expect(looked).toEqual([8])
})
