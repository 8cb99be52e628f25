import { type Address, Errno, type SideRef, type Socket, SocketEvent } from "@demiflow/core"
import { beforeEach, expect, it } from "vitest"
import { patternBytes } from "../packets/layer.ts"
import type { ReceivedDatagram, SocketsBench } from "./sockets-bench.ts"

const { readable } = SocketEvent
const IDENTIFIER = 4_711

/** The tests of a host's ping sockets, over one version of IP. */
export function pingTests(bench: () => SocketsBench, isV4: boolean): void {
  let correspondents: readonly Address[]
  let side: SideRef
  let socket: Socket

  beforeEach(() => {
    correspondents = pingable(isV4)
    side = bench().newSide()
    socket = bind(isV4, IDENTIFIER, side)
    expect(socket).toBeGreaterThanOrEqual(0)
  })

  const host = () => bench().under.sockets

  function pingable(ofV4: boolean): readonly Address[] {
    const { pingable } = bench().under
    if (pingable === undefined) throw new Error("The set-up has no pingable addresses")
    return pingable(ofV4)
  }

  function bind(ofV4: boolean, identifier: number, own: SideRef = bench().newSide()): Socket {
    const demiflow = bench().towards({ address: pingable(ofV4)[0], port: 0 })
    demiflow.forwardingPort = identifier
    const bound = host().pingBind(own, demiflow)
    return bound < 0 ? bound : bench().keep(bound)
  }

  const identifierOf = (bound: Socket): number => {
    const end = bench().towards({ address: correspondents[0], port: 0 })
    expect(host().boundEnd(bound, end)).toBe(0)
    return end.forwardingPort
  }

  const request = (sequence: number) => Uint8Array.of(isV4 ? 8 : 128, 0, 0, 0, 0, 0, 0, sequence, ...patternBytes(56))

  function ask(address: Address, sequence: number): void {
    expect(bench().sendDatagramsTo(socket, bench().towards({ address, port: 0 }), request(sequence))).toBe(1)
  }

  /** Waits for this number of replies. */
  async function receive(count: number): Promise<readonly ReceivedDatagram[]> {
    const all: ReceivedDatagram[] = []
    await bench().until(`${count} replies arrive`, () => {
      const received = bench().receiveFromAnyone(socket)
      if (typeof received !== "number") all.push(...received)
      return all.length >= count
    })
    return all
  }

  it("sends requests to anybody under one identifier, and says whose the replies are", async () => {
    for (const [index, address] of correspondents.entries()) ask(address, index)
    await bench().untilEvents(side, readable)
    const replies = await receive(correspondents.length)
    for (const { bytes } of replies) {
      expect([bytes[0], bytes[1]]).toEqual([isV4 ? 0 : 129, 0])
      expect((bytes[4] << 8) | bytes[5]).toBe(IDENTIFIER)
      expect(bytes.slice(6)).toEqual(request(bytes[7]).slice(6))
    }
    const seen = replies.map(({ bytes, ends }) => `${bytes[7]} ${ends.correspondentAddress}`)
    expect(seen.sort()).toEqual(correspondents.map((address, index) => `${index} ${address}`))
    expect(bench().receiveFromAnyone(socket)).toBe(-Errno.EAGAIN)
  })

  it("has its identifier alone, but for the other version of IP", () => {
    expect(identifierOf(socket)).toBe(IDENTIFIER)
    expect(bind(isV4, IDENTIFIER)).toBe(-Errno.EADDRINUSE)
    const other = bind(!isV4, IDENTIFIER)
    expect(other).toBeGreaterThanOrEqual(0)
    for (const ofV4 of [true, false]) expect(bind(ofV4, IDENTIFIER)).toBe(-Errno.EADDRINUSE)
    host().close(socket)
    bench().closed(socket)
    socket = bind(isV4, IDENTIFIER)
    expect(socket).toBeGreaterThanOrEqual(0)
  })

  it("has an identifier of the host's choice where none is wanted", () => {
    const chosen = [bind(isV4, 0), bind(isV4, 0)].map(identifierOf)
    expect(Math.min(...chosen)).toBeGreaterThan(0)
    expect(new Set([...chosen, IDENTIFIER]).size).toBe(3)
  })

  it("takes marks with each call", async () => {
    const { batch } = bench()
    for (const hopLimit of [64, 9, 0]) {
      batch.marks = hopLimit
      ask(correspondents[0], hopLimit)
    }
    batch.marks = 0
    expect((await receive(3)).map(({ bytes }) => bytes[7])).toEqual([64, 9, 0])
  })

  it("reports its events to another side once it is handed over", async () => {
    const next = bench().newSide()
    host().handOver(socket, next)
    ask(correspondents[0], 1)
    await bench().untilEvents(next, readable)
    expect(bench().eventsOf(side) & readable).toBe(0)
  })
}
