import { Arena, Errno } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Direction } from "./direction.ts"
import { FakePipes, FROM, TO } from "./fake-pipes.fixture.ts"
import { Moved, Mover } from "./mover.ts"
import { PipePool } from "./pipe-pool.ts"

function setUp(waiting: number, room: number) {
  const pipes = new FakePipes()
  pipes.waiting.set(FROM, waiting)
  pipes.room.set(TO, room)
  const { sockets } = pipes
  const direction = new Direction(sockets, sockets)
  direction.reset(FROM, sockets, TO, sockets)
  direction.isReadable = true
  direction.isWritable = true
  return { pipes, direction, mover: new Mover(new Arena(1 << 17), pipes, new PipePool(pipes)) }
}

describe("moving bytes from socket to socket", () => {
  test("goes on until there are none, and leaves no pipe with the direction", () => {
    const { pipes, direction, mover } = setUp(2500, 1e9)
    expect(mover.move(direction)).toBe(Moved.all)
    expect(mover.movedBytes).toBe(2500)
    expect([direction.isReadable, direction.hasEnded, direction.heldBytes, direction.pipe]).toEqual([
      false,
      false,
      0,
      -1,
    ])
    expect([...pipes.held.values()].every((bytes) => bytes === 0)).toBe(true)
  })

  test("keeps what the receiver doesn't take, and fetches no more", () => {
    const { pipes, direction, mover } = setUp(2500, 300)
    expect(mover.move(direction)).toBe(Moved.all)
    expect([direction.heldBytes, direction.isWritable, pipes.waiting.get(FROM)]).toEqual([700, false, 1500])
    pipes.room.set(TO, 1e9)
    expect(mover.move(direction)).toBe(Moved.all)
    expect(mover.movedBytes).toBe(0)
    direction.isWritable = true
    expect(mover.move(direction)).toBe(Moved.all)
    expect([mover.movedBytes, direction.heldBytes]).toEqual([2200, 0])
  })

  test("has ended once everything before the end was taken", () => {
    const { pipes, direction, mover } = setUp(700, 500)
    pipes.ended.add(FROM)
    mover.move(direction)
    expect([direction.hasEnded, direction.heldBytes]).toEqual([false, 200])
    pipes.room.set(TO, 1e9)
    direction.isWritable = true
    mover.move(direction)
    expect([direction.hasEnded, direction.heldBytes]).toEqual([true, 0])
  })

  test("stops at its budget, and says that there is more", () => {
    const { pipes, direction, mover } = setUp(10 << 20, 1e9)
    pipes.capacity = 1 << 19
    expect(mover.move(direction)).toBe(Moved.part)
    expect(mover.movedBytes).toBe(1 << 20)
  })

  test("passes errors of either socket on", () => {
    for (const [waiting, room] of [
      [-Errno.ECONNRESET, 10],
      [10, -Errno.EPIPE],
    ]) {
      const { direction, mover } = setUp(waiting, room)
      expect(mover.move(direction)).toBe(Math.min(waiting, room))
    }
  })

  test("copies where there is no pipe, and keeps nothing that the receiver doesn't take", () => {
    const { pipes, direction, mover } = setUp(200_000, 150_000)
    pipes.most = 0
    expect(mover.move(direction)).toBe(Moved.all)
    expect(mover.movedBytes).toBe(150_000)
    expect([direction.isWritable, direction.heldBytes, pipes.waiting.get(FROM)]).toEqual([false, 0, 50_000])
    pipes.room.set(TO, 1e9)
    pipes.ended.add(FROM)
    direction.isWritable = true
    expect(mover.move(direction)).toBe(Moved.all)
    expect([mover.movedBytes, direction.hasEnded]).toEqual([50_000, true])
  })

  test("gets past a byte that is marked as urgent by copying, and goes on without", () => {
    const { pipes, direction, mover } = setUp(100_000, 1e9)
    pipes.atMark.add(FROM)
    direction.isUrgent = true
    expect(mover.move(direction)).toBe(Moved.all)
    expect([mover.movedBytes, direction.isUrgent]).toEqual([100_000, false])
  })

  test("gets past a byte that is marked as urgent, where the stream has ended behind it", () => {
    const { pipes, direction, mover } = setUp(1_000, 1e9)
    pipes.atMark.add(FROM)
    pipes.ended.add(FROM)
    expect(mover.move(direction)).toBe(Moved.all)
    expect([mover.movedBytes, direction.hasEnded]).toEqual([1_000, true])
  })

  test("keeps what is behind an urgent byte until the receiver takes it, where the stream has ended", () => {
    const { pipes, direction, mover } = setUp(1_000, 0)
    pipes.atMark.add(FROM)
    pipes.ended.add(FROM)
    mover.move(direction)
    expect([direction.hasEnded, pipes.waiting.get(FROM)]).toEqual([false, 1_000])
    pipes.room.set(TO, 1e9)
    direction.isWritable = true
    expect(mover.move(direction)).toBe(Moved.all)
    expect([mover.movedBytes, direction.hasEnded]).toEqual([1_000, true])
  })

  test("closes a pipe that is abandoned with something in it", () => {
    const { pipes, direction, mover } = setUp(100, 0)
    mover.move(direction)
    const open = pipes.held.size
    mover.abandon(direction)
    mover.abandon(direction)
    expect(pipes.held.size).toBe(open - 1)
    expect([direction.heldBytes, direction.pipe]).toEqual([0, -1])
  })
})

test("the pool keeps a few pipes that nobody needs, and no more", () => {
  const pipes = new FakePipes()
  pipes.most = 50
  const pool = new PipePool(pipes)
  const taken = Array.from({ length: 50 }, () => pool.take())
  expect(pool.take()).toBe(-Errno.EMFILE)
  for (const pipe of taken.slice(1)) pool.giveBack(pipe)
  expect(pipes.held.size).toBeLessThan(5)
  expect(pool.take()).toBeGreaterThanOrEqual(0)
  pool.discard(taken[0])
  expect(pipes.held.has(taken[0])).toBe(false)
})
