/** Link-local addresses: the same address on another link is another node (RFC 4007, section 6). */
import { SocketEvent } from "@demiflow/core"
import { expect, test } from "vitest"
import { Bench, datagramsOf, pattern } from "./test-support/bench.ts"

const GUEST = "fe80::2"
const OWN = "fe80::5"
const SERVER = "fe80::7"
const ANOTHER_LINK = 7
const STRANGER = "udp: from an address that the guest has not written to"

const lengthsOf = (bench: Bench) => bench.guest.datagrams.map(({ payload }) => payload.length)

// RFC 4007 6 (udp)
test("the guest's correspondent is the one on the link that it was written to on, from whichever port", () => {
  const bench = new Bench()
  bench.fromGuest(GUEST, 40_000, SERVER, 53, { payload: pattern(1) })
  const [port] = bench.sockets.sockets
  const answer = (fromPort: number, length: number, scope: number) =>
    port.incoming.push(
      ...datagramsOf(port, SERVER, fromPort, OWN, pattern(length)).map((datagram) => ({ ...datagram, scope })),
    )
  answer(53, 10, ANOTHER_LINK)
  answer(53, 11, 0)
  answer(54, 12, ANOTHER_LINK)
  answer(54, 13, 0)
  answer(53, 14, ANOTHER_LINK)
  bench.event(port, SocketEvent.readable)
  expect(lengthsOf(bench)).toEqual([11, 13])
  expect(bench.drops.entries()).toEqual([[STRANGER, 3]])
})

test("of two clients with one address on two links, the first one is heard and answered", () => {
  const bench = new Bench()
  const listener = bench.listen(5000, 53)
  const ask = (length: number, scope: number) => {
    const asked = datagramsOf(listener, SERVER, 1234, OWN, pattern(length))
    bench.sockets.sockets[0].incoming.push(...asked.map((datagram) => ({ ...datagram, scope })))
  }
  ask(10, ANOTHER_LINK)
  ask(11, 0)
  ask(12, ANOTHER_LINK)
  bench.listenerEvent(listener)
  expect(lengthsOf(bench)).toEqual([10, 12])
  expect(bench.drops.entries()).toEqual([[STRANGER, 1]])
})
