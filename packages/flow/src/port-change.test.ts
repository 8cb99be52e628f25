import {
  Address,
  Errno,
  Interface,
  type InterfaceId,
  IpProtocol,
  type ListenerRef,
  type ListeningEnd,
} from "@demiflow/core"
import { describe, expect, it } from "vitest"
import type { ForwardingRule } from "./forwarding-rule.ts"
import type { ChangeOutcome, PortChange } from "./port-change.ts"
import { PortForwarding } from "./port-forwarding.ts"

/** A stack at which two listeners with one number exclude each other, as two of the kernel's do. */
class TestStack {
  readonly open = new Map<ListenerRef, string>()
  readonly calls: string[] = []
  /** Ports that others have. */
  readonly taken = new Map<number, number>()
  #count = 0

  listen(protocol: number, end: ListeningEnd, _to: unknown, targetPort: number, place?: InterfaceId): ListenerRef {
    const name = `${place === Interface.splice ? "inside " : ""}${protocol} ${end.address ?? "*"}:${end.port}`
    this.calls.push(`open ${name}`)
    const isTaken = [...this.open.values()].some((other) => other.split(" → ")[0].endsWith(`:${end.port}`))
    const errno = this.taken.get(end.port) ?? (isTaken ? Errno.EADDRINUSE : 0)
    if (errno !== 0) return -errno as ListenerRef
    const ref = this.#count++ as ListenerRef
    this.open.set(ref, `${name} → ${targetPort}`)
    return ref
  }

  unlisten(ref: ListenerRef): void {
    this.calls.push(`close ${this.open.get(ref)}`)
    this.open.delete(ref)
  }

  portsInUse = () => []

  get listening(): string[] {
    return [...this.open.values()].sort()
  }
}

const ANY: ForwardingRule = {
  interface: Interface.host,
  protocol: IpProtocol.tcp,
  address: undefined,
  interfaceName: undefined,
  firstPort: 80,
  lastPort: 80,
  targetAddress: undefined,
  firstTargetPort: 80,
  isBestEffort: false,
  isAuto: false,
  freebind: false,
}

function ports(first: number, last = first, fields: Partial<ForwardingRule> = {}): ForwardingRule {
  return { ...ANY, firstPort: first, lastPort: last, firstTargetPort: first, ...fields }
}

function setUp(...rules: ForwardingRule[]) {
  const stack = new TestStack()
  const forwarding = new PortForwarding(stack)
  for (const rule of rules) forwarding.add(rule)
  stack.calls.length = 0
  return { stack, forwarding }
}

function finish(change: PortChange): ChangeOutcome {
  // The second time for what has failed.
  const outcome = change.advance(Number.POSITIVE_INFINITY) ?? change.advance(Number.POSITIVE_INFINITY)
  if (outcome === undefined) throw new Error("The change doesn't end")
  return outcome
}

const DONE = { isDone: true, unavailable: [], lost: [] }

describe("replacing the rules", () => {
  it("leaves alone the ports that stay, even as parts of other rules", () => {
    const { stack, forwarding } = setUp(ports(80, 83), ports(90))
    const after = [ports(82, 85), ports(80)]
    expect(finish(forwarding.replace(after))).toEqual(DONE)
    expect(stack.calls).toEqual(["open 6 *:84", "open 6 *:85", "close 6 *:81 → 81", "close 6 *:90 → 90"])
    expect(forwarding.rules).toEqual(after)
    expect(finish(forwarding.replace([]))).toEqual(DONE)
    expect(stack.listening).toEqual([])
  })

  it("opens new ports before it closes old ones, but for those with the same number", () => {
    const { stack, forwarding } = setUp(ports(80), ports(90))
    const address = Address.parse("127.0.0.1")
    expect(finish(forwarding.replace([ports(80, 80, { address }), ports(91)]))).toEqual(DONE)
    expect(stack.calls).toEqual(["close 6 *:80 → 80", "open 6 127.0.0.1:80", "open 6 *:91", "close 6 *:90 → 90"])
  })

  it("gives a port another target", () => {
    const { stack, forwarding } = setUp(ports(80))
    finish(forwarding.replace([ports(80, 80, { firstTargetPort: 8080 })]))
    expect(stack.listening).toEqual(["6 *:80 → 8080"])
  })

  it("changes nothing if one port can't be opened, and names it", () => {
    const { stack, forwarding } = setUp(ports(80), ports(90))
    const before = [stack.listening, forwarding.rules]
    stack.taken.set(92, Errno.EADDRINUSE)
    const address = Address.parse("127.0.0.1")
    const failing = ports(91, 93)
    const outcome = finish(forwarding.replace([ports(80, 80, { address }), failing]))
    expect(outcome).toEqual({
      isDone: false,
      unavailable: [{ rule: failing, port: 92, errno: Errno.EADDRINUSE }],
      lost: [],
    })
    expect([stack.listening, forwarding.rules]).toEqual(before)
    expect(finish(forwarding.replace([]))).toEqual(DONE)
    expect(stack.listening).toEqual([])
  })

  it("names the ports that it couldn't restore", () => {
    const { stack, forwarding } = setUp(ports(80))
    const change = forwarding.replace([ports(80, 80, { firstTargetPort: 81 }), ports(92)])
    while (stack.calls.length === 0) change.advance(1)
    stack.taken.set(80, Errno.EADDRINUSE)
    const { isDone, lost } = finish(change)
    expect([isDone, lost.map(({ port }) => port)]).toEqual([false, [80]])
    expect(stack.listening).toEqual([])
    expect(finish(forwarding.replace([]))).toEqual(DONE)
  })

  it("names the first port of a best-effort rule that gets none", () => {
    const { stack, forwarding } = setUp()
    for (let port = 100; port < 200; port++) stack.taken.set(port, Errno.EADDRINUSE)
    const empty = ports(110, 120, { isBestEffort: true })
    const outcome = finish(forwarding.replace([ports(199, 200, { isBestEffort: true }), empty]))
    expect(outcome).toEqual({ ...DONE, unavailable: [{ rule: empty, port: 110, errno: Errno.EADDRINUSE }] })
    expect(stack.listening).toEqual(["6 *:200 → 200"])
  })

  it("passes over ports of best-effort rules, and has them the next time", () => {
    const { stack, forwarding } = setUp()
    for (let port = 100; port < 200; port++) stack.taken.set(port, Errno.EADDRINUSE)
    const rules = [ports(99, 200, { isBestEffort: true })]
    expect(finish(forwarding.replace(rules))).toEqual(DONE)
    expect(stack.listening).toEqual(["6 *:200 → 200", "6 *:99 → 99"])
    stack.taken.clear()
    finish(forwarding.replace(rules))
    expect(stack.listening).toHaveLength(102)
  })

  it("fails for lack of descriptors, also with best-effort rules", () => {
    const { stack, forwarding } = setUp(ports(80))
    stack.taken.set(101, Errno.EMFILE)
    const outcome = finish(forwarding.replace([ports(100, 102, { isBestEffort: true })]))
    expect(outcome).toMatchObject({ isDone: false, unavailable: [{ port: 101, errno: Errno.EMFILE }] })
    expect(stack.listening).toEqual(["6 *:80 → 80"])
  })

  it("keeps the open ports of automatic rules, and opens none", () => {
    const auto = { isAuto: true, isBestEffort: true }
    const { stack, forwarding } = setUp(ports(1, 1000, auto))
    forwarding.follow(Interface.host, (protocol) => (protocol === IpProtocol.tcp ? [10, 500] : []))
    expect(finish(forwarding.replace([ports(100, 600, auto)]))).toEqual(DONE)
    expect(stack.listening).toEqual(["6 *:500 → 500"])
    forwarding.follow(Interface.host, (protocol) => (protocol === IpProtocol.tcp ? [10, 200] : []))
    expect(stack.listening).toEqual(["6 *:200 → 200"])
  })

  it("keeps ports that are automatic no more", () => {
    const { stack, forwarding } = setUp(ports(1, 1000, { isAuto: true, isBestEffort: true }))
    forwarding.follow(Interface.host, (protocol) => (protocol === IpProtocol.tcp ? [80, 500] : []))
    stack.calls.length = 0
    expect(finish(forwarding.replace([ports(80)]))).toEqual(DONE)
    expect(stack.calls).toEqual(["close 6 *:500 → 500"])
  })

  it("takes a step for each port that leaves, whether it is in the way or not", () => {
    const { forwarding } = setUp(ports(1000, 1999))
    const change = forwarding.replace([ports(1000, 1499, { address: Address.parse("127.0.0.1") })])
    let steps = 0
    while (change.advance(1) === undefined) steps++
    // Considered, looked up, and closed or opened.
    expect(steps).toBe(1000 + 1000 + 500 + 500)
  })

  it("takes a step for each port that stays", () => {
    const { forwarding } = setUp(ports(1000, 1999))
    const change = forwarding.replace([ports(1000, 1999)])
    let steps = 0
    while (change.advance(1) === undefined) steps++
    expect(steps).toBe(1000 + 1000)
  })

  it("stops before it is undone, so that descriptors held back can be released", () => {
    const { stack, forwarding } = setUp(ports(80))
    stack.taken.set(92, Errno.EMFILE)
    const change = forwarding.replace([ports(80, 80, { firstTargetPort: 81 }), ports(92)])
    expect(change.isUndoing).toBe(false)
    expect(change.advance(Number.POSITIVE_INFINITY)).toBeUndefined()
    expect(change.isUndoing).toBe(true)
    expect(finish(change)).toMatchObject({ isDone: false, lost: [] })
    expect(stack.listening).toEqual(["6 *:80 → 80"])
  })

  it("takes as many steps as it has ports, with the old rules until the last one", () => {
    const { stack, forwarding } = setUp(ports(80))
    const old = forwarding.rules
    const change = forwarding.replace([ports(1000, 2000)])
    expect(() => forwarding.replace([])).toThrow("being changed already")
    let steps = 0
    for (let isDone = false; !isDone; steps++) {
      const before = stack.calls.length
      isDone = change.advance(100) !== undefined
      expect(stack.calls.length - before).toBeLessThanOrEqual(101)
      if (!isDone) expect(forwarding.rules).toEqual(old)
      expect(forwarding.follow(Interface.host, () => [])).toBe(false)
    }
    expect(steps).toBeGreaterThan(10)
    expect(stack.listening).toHaveLength(1001)
    expect(change.advance(1)).toEqual(DONE)
  })
})
