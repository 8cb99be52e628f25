import {
  Address,
  Arena,
  type Components,
  Demiflow,
  Drops,
  Errno,
  ErrorOrigin,
  type Guest,
  Interface,
  type SideRef,
  type Socket,
  type SocketError,
} from "@demiflow/core"
import { expect, test } from "vitest"
import { type FlowWithErrors, HostErrorRelay } from "./host-error-relay.ts"

const PROTOCOL = 136
const HEADER = 4
const guestAddress = Address.parse("192.0.2.2")
const gateway = Address.parse("192.0.2.1")
const router = Address.parse("203.0.113.1")
const loopback = Address.parse("127.0.0.1")

const flow: FlowWithErrors & { readonly socket: Socket } = {
  tapSide: 1 as SideRef,
  hostSide: 0 as SideRef,
  socket: 7 as Socket,
  lastLength: 300,
}
const sides = [
  Demiflow.of(Interface.host, loopback, 5000, loopback, 1234),
  Demiflow.of(Interface.tap, gateway, 1234, guestAddress, 53),
]

/** A relay whose quotations are four bytes of 0xaa before the payload. */
class Relay extends HostErrorRelay<FlowWithErrors> {
  protected override protocolOn(): number {
    return PROTOCOL
  }

  protected override writeQuote(_: Demiflow, __: unknown, payloadOffset: number, known: number): number {
    this.arena.bytes.fill(0xaa, this.quoteOffset, this.quoteOffset + HEADER)
    this.arena.copy(payloadOffset, this.quoteOffset + HEADER, known)
    return HEADER + known
  }
}

interface Reported {
  readonly from: string
  readonly to: string
  readonly type: number
  readonly code: number
  readonly information: number
  /** Length of the quoted packet according to its header, and the bytes present behind that header. */
  readonly length: number
  readonly quoted: readonly number[]
}

function bench(entries: Partial<SocketError>[] = []) {
  const arena = new Arena(1 << 16)
  const drops = new Drops()
  const reported: Reported[] = []
  const space = arena.reserve(2048)
  let side = new Demiflow()
  const guest: Pick<Guest, "begin" | "end"> = {
    begin(demiflow) {
      side = demiflow.clone()
      return space
    },
    end(offset, length) {
      const { view, bytes } = arena
      reported.push({
        from: `${side.forwardingAddress}`,
        to: `${side.correspondentAddress}`,
        type: bytes[offset],
        code: bytes[offset + 1],
        information: view.getUint32(offset + 4),
        length: view.getUint16(offset + 10) - 20,
        quoted: [...bytes.subarray(offset + 28, offset + length)],
      })
    },
  }
  const components = {
    arena,
    drops,
    guest,
    clock: { now: 1000 },
    sockets: {
      receiveError(_: Socket, into: SocketError): number {
        const entry = entries.shift()
        if (entry === undefined) return 0
        const { reporter = new Address(), destination = loopback, ...rest } = entry
        into.reporter.copyFrom(reporter)
        into.destination.copyFrom(destination)
        Object.assign(into, { information: 0, payloadLength: 0, ...rest })
        return 1
      },
    },
    flows: { readSide: (ref: SideRef, into: Demiflow) => into.copyFrom(sides[ref]) },
    forwarding: {
      translateToGuest: (address: Address) => address.equals(loopback) && address.copyFrom(gateway),
    },
  } as unknown as Components
  const payload = arena.reserve(64)
  arena.bytes.set([1, 2, 3, 4, 5], payload)
  return { relay: new Relay(components, drops.reason("test: no form"), HEADER), reported, drops, payload }
}

const unreachable = { errno: Errno.ECONNREFUSED, origin: ErrorOrigin.icmp, icmpType: 3, icmpCode: 3 }

test("an error that was reported comes to the guest as it was, from whom the guest knows", () => {
  const entries: Partial<SocketError>[] = []
  const { relay, reported, payload } = bench(entries)
  for (const reporter of [router, loopback, guestAddress, new Address()]) {
    entries.push({ ...unreachable, reporter, payloadOffset: payload, payloadLength: 5 })
  }
  relay.drain(flow)
  expect(reported.map(({ from }) => from)).toEqual([`${router}`, `${gateway}`, `${gateway}`, `${gateway}`])
  expect(reported[0]).toMatchObject({ to: `${guestAddress}`, type: 3, code: 3, information: 0, length: HEADER + 300 })
  expect(reported[0].quoted).toEqual([0xaa, 0xaa, 0xaa, 0xaa, 1, 2, 3, 4, 5])
})

test("too big carries the MTU, and what has no form is counted", () => {
  const { relay, reported, drops } = bench([
    { ...unreachable, icmpCode: 4, information: 1400 },
    { errno: 92, origin: 9 },
  ])
  relay.drain(flow)
  expect(reported.map(({ code, information }) => [code, information])).toEqual([[4, 1400]])
  expect(drops.entries()).toEqual([["test: no form", 1]])
})

test("a refusal of the host's own is reported in the name of the address that the guest wrote to", () => {
  const { relay, reported, payload } = bench()
  relay.refuse(sides[1], Errno.EHOSTUNREACH, payload, 5)
  expect(reported).toMatchObject([{ from: `${gateway}`, to: `${guestAddress}`, type: 3, code: 1, length: HEADER + 5 }])
})

test("a packet that the host finds too large is reported with the MTU from its error queue, or not at all", () => {
  const entries: Partial<SocketError>[] = []
  const { relay, reported, payload } = bench(entries)
  relay.refuse(sides[1], Errno.EMSGSIZE, payload, 5)
  expect(reported).toEqual([])
  entries.push({ errno: Errno.EMSGSIZE, origin: ErrorOrigin.host, information: 1280 })
  relay.drain(flow)
  relay.refuse(sides[1], Errno.EMSGSIZE, payload, 5)
  expect(reported).toMatchObject([{ type: 3, code: 4, information: 1280 }])
})

test("refusals are limited in number, what was reported isn't", () => {
  const { relay, reported, payload } = bench(Array.from({ length: 200 }, () => ({ ...unreachable })))
  for (let count = 0; count < 100; count++) relay.refuse(sides[1], Errno.EHOSTUNREACH, payload, 5)
  expect(reported).toHaveLength(50)
  relay.drain(flow)
  expect(reported).toHaveLength(250)
})
