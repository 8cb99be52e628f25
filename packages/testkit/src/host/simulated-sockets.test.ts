import { Address, Arena } from "@demiflow/core"
import { describe } from "vitest"
import { socketsCompliance } from "../compliance/index.ts"
import type { CorrespondentConnection, End, SocketsUnderTest } from "../compliance/sockets-under-test.ts"
import { VirtualClock } from "../virtual-clock.ts"
import { SimulatedSockets } from "./simulated-sockets.ts"
import type { SimulatedSocketsOptions } from "./simulated-sockets-options.ts"

function setup(options: Partial<SimulatedSocketsOptions>): SocketsUnderTest {
  const clock = new VirtualClock()
  const sockets = new SimulatedSockets({ clock, arena: new Arena(16 << 20), ...options })
  let port = 1_000
  let hostPort = 5_000
  const address = (isV4: boolean) => Address.parse(isV4 ? "198.51.100.7" : "2001:db8:1::7")
  return {
    sockets,
    turn(deliver, deliverToListener) {
      clock.advance(1)
      sockets.poll(deliver, deliverToListener)
    },
    listen(isV4) {
      const listener = sockets.world.listen({ address: address(isV4), port: ++port })
      const connections: readonly CorrespondentConnection[] = listener.connections
      return { address: address(isV4), port, connections, close: () => listener.close() }
    },
    openUdp(isV4) {
      const own = { address: address(isV4), port: ++port }
      const received: Uint8Array[] = []
      const senders: End[] = []
      const close = sockets.world.receive(own, (datagram) => {
        received.push(datagram.bytes)
        senders.push({ address: datagram.hostAddress, port: datagram.hostPort })
      })
      return {
        ...own,
        received,
        senders,
        close,
        send: (bytes, hostAddress, hostPort) =>
          sockets.world.send(own, { address: hostAddress, port: hostPort }, bytes),
      }
    },
    unusedEnd: (isV4) => ({ address: address(isV4), port: 9 }),
    ownEnd: (isV4) => ({ address: Address.parse(isV4 ? "192.0.2.1" : "2001:db8::1"), port: ++hostPort }),
    connect(end) {
      const ownEnd = { address: address(end.address.isV4), port: ++port }
      const connection = sockets.world.connect(ownEnd, end)
      return Object.defineProperties(connection as typeof connection & { ownEnd: End; isRefused: boolean }, {
        ownEnd: { value: ownEnd },
        isRefused: { get: () => connection.failure === "refused" },
      })
    },
    pingable: (isV4) => [address(isV4), Address.parse(isV4 ? "198.51.100.8" : "2001:db8:1::8")],
  }
}

describe("a simulated host", () => socketsCompliance(() => setup({})))
describe("a simulated host far from everybody", () => socketsCompliance(() => setup({ rtt: 20, jitter: 3 })))
describe("a simulated host whose events come late and for no reason", () =>
  socketsCompliance(() => setup({ faults: { lateEvent: 0.5, lateness: 5 }, coalescesDatagrams: true })))
