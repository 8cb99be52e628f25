import { Address, Arena } from "@demiflow/core"
import { describe } from "vitest"
import type { CorrespondentConnection, End, HostUnderTest } from "../compliance/host-under-test.ts"
import { hostCompliance } from "../compliance/index.ts"
import { VirtualClock } from "../virtual-clock.ts"
import { SimulatedHost } from "./simulated-host.ts"
import type { SimulatedHostOptions } from "./simulated-host-options.ts"

function setup(options: Partial<SimulatedHostOptions>): HostUnderTest {
  const clock = new VirtualClock()
  const host = new SimulatedHost({ clock, arena: new Arena(16 << 20), ...options })
  let port = 1_000
  let hostPort = 5_000
  const address = (isV4: boolean) => Address.parse(isV4 ? "198.51.100.7" : "2001:db8:1::7")
  return {
    host,
    turn(deliver, deliverToListener) {
      clock.advance(1)
      host.poll(deliver, deliverToListener)
    },
    listen(isV4) {
      const listener = host.world.listen({ address: address(isV4), port: ++port })
      const connections: readonly CorrespondentConnection[] = listener.connections
      return { address: address(isV4), port, connections, close: () => listener.close() }
    },
    openUdp(isV4) {
      const own = { address: address(isV4), port: ++port }
      const received: Uint8Array[] = []
      const senders: End[] = []
      const close = host.world.receive(own, (datagram) => {
        received.push(datagram.bytes)
        senders.push({ address: datagram.hostAddress, port: datagram.hostPort })
      })
      return {
        ...own,
        received,
        senders,
        close,
        send: (bytes, hostAddress, hostPort) => host.world.send(own, { address: hostAddress, port: hostPort }, bytes),
      }
    },
    unusedEnd: (isV4) => ({ address: address(isV4), port: 9 }),
    ownEnd: (isV4) => ({ address: Address.parse(isV4 ? "192.0.2.1" : "2001:db8::1"), port: ++hostPort }),
    connect(end) {
      const ownEnd = { address: address(end.address.isV4), port: ++port }
      const connection = host.world.connect(ownEnd, end)
      return Object.defineProperties(connection as typeof connection & { ownEnd: End; isRefused: boolean }, {
        ownEnd: { value: ownEnd },
        isRefused: { get: () => connection.failure === "refused" },
      })
    },
    pingable: (isV4) => [address(isV4), Address.parse(isV4 ? "198.51.100.8" : "2001:db8:1::8")],
  }
}

describe("a simulated host", () => hostCompliance(() => setup({})))
describe("a simulated host far from everybody", () => hostCompliance(() => setup({ rtt: 20, jitter: 3 })))
describe("a simulated host whose events come late and for no reason", () =>
  hostCompliance(() => setup({ faults: { lateEvent: 0.5, lateness: 5 }, coalescesDatagrams: true })))
