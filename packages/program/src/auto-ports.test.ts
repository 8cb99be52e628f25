import { Interface, type InterfaceId, IpProtocol } from "@demiflow/core"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { AutoPorts } from "./auto-ports.ts"

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const { tcp, udp } = IpProtocol

/** Records what each end follows, and what is bound at the other one. `onLook` is called twice for each poll. */
function setUp(onPoll = () => {}) {
  const bound: Record<"host" | "namespace", Record<number, number[]>> = {
    host: { [tcp]: [22], [udp]: [53] },
    namespace: { [tcp]: [80], [udp]: [67] },
  }
  const followed: unknown[] = []
  const table = {
    isShort: false,
    follow(end: InterfaceId, ports: (protocol: number) => Iterable<number>): boolean {
      onPoll()
      followed.push([end, [...ports(tcp)], [...ports(udp)]])
      return this.isShort
    },
  }
  const at = (end: keyof typeof bound) => ({
    of: (protocol: number) => new Set(bound[end][protocol]),
    connected: () => new Set<number>(),
  })
  const warning = vi.fn()
  return { bound, followed, table, warning, ports: new AutoPorts(table, at("host"), at("namespace"), { warning }) }
}

test("each end follows the other, at once and every second", () => {
  const { bound, followed, ports } = setUp()
  ports.start()
  expect(followed).toEqual([
    [Interface.host, [80], [67]],
    [Interface.splice, [22], [53]],
  ])
  bound.namespace[tcp] = []
  vi.advanceTimersByTime(999)
  expect(followed).toHaveLength(2)
  vi.advanceTimersByTime(1)
  expect(followed.slice(2)).toEqual([
    [Interface.host, [], [67]],
    [Interface.splice, [22], [53]],
  ])
  ports.stop()
  vi.advanceTimersByTime(5000)
  expect(followed).toHaveLength(4)
})

test("a look that takes long is not followed by another one soon", () => {
  const { followed, ports } = setUp(() => vi.advanceTimersByTime(100))
  ports.start()
  vi.advanceTimersByTime(9_000)
  expect(followed).toHaveLength(2)
  vi.advanceTimersByTime(2_000)
  expect(followed).toHaveLength(4)
  ports.stop()
})

test("a process that was stopped during a look doesn't wait for hours", () => {
  const { followed, ports } = setUp(() => vi.advanceTimersByTime(600_000))
  ports.start()
  vi.advanceTimersByTime(29_999)
  expect(followed).toHaveLength(2)
  vi.advanceTimersByTime(1)
  expect(followed).toHaveLength(4)
  ports.stop()
})

test("ports for which there are no descriptors are warned of, once a minute", () => {
  const { table, warning, ports } = setUp()
  ports.start()
  vi.advanceTimersByTime(10_000)
  expect(warning).not.toHaveBeenCalled()
  table.isShort = true
  vi.advanceTimersByTime(59_000)
  expect(warning.mock.calls).toEqual([[expect.stringMatching(/stay closed. Raise the limit \(ulimit -n\)$/)]])
  vi.advanceTimersByTime(10_000)
  expect(warning).toHaveBeenCalledTimes(2)
  ports.stop()
})
