import { Address, Arena } from "@demiflow/core"
import { describe } from "vitest"
import type { CorrespondentConnection, HostUnderTest } from "../compliance/host-under-test.ts"
import { hostCompliance } from "../compliance/index.ts"
import { VirtualClock } from "../virtual-clock.ts"
import { SimulatedHost, type SimulatedHostOptions } from "./simulated-host.ts"

function setup(options: Partial<SimulatedHostOptions>): HostUnderTest {
  const clock = new VirtualClock()
  const host = new SimulatedHost({ clock, arena: new Arena(16 << 20), ...options })
  let port = 1_000
  const address = (isV4: boolean) => Address.parse(isV4 ? "198.51.100.7" : "2001:db8:1::7")
  return {
    host,
    turn(deliver) {
      clock.advance(1)
      host.poll(deliver)
    },
    listen(isV4) {
      const listener = host.world.listen({ address: address(isV4), port: ++port })
      const connections: readonly CorrespondentConnection[] = listener.connections
      return { address: address(isV4), port, connections, close: () => listener.close() }
    },
    openUdp(isV4) {
      const own = { address: address(isV4), port: ++port }
      const received: Uint8Array[] = []
      const close = host.world.receive(own, ({ bytes }) => received.push(bytes))
      return {
        ...own,
        received,
        close,
        send: (bytes, hostAddress, hostPort) => host.world.send(own, { address: hostAddress, port: hostPort }, bytes),
      }
    },
    unusedEnd: (isV4) => ({ address: address(isV4), port: 9 }),
    pingable: address,
  }
}

describe("a simulated host", () => hostCompliance(() => setup({})))
describe("a simulated host far from everybody", () => hostCompliance(() => setup({ rtt: 20, jitter: 3 })))
describe("a simulated host whose events come late and for no reason", () =>
  hostCompliance(() => setup({ faults: { lateEvent: 0.5, lateness: 5 }, coalescesDatagrams: true })))
