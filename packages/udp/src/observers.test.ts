import { FlowEnd, Interface, IpProtocol, type Observer } from "@demiflow/core"
import { build, memoryStack } from "@demiflow/testkit"
import { expect, test } from "vitest"
import { udp, udpWithLocalPath } from "./index.ts"
import { families } from "./test-support/families.ts"
import { directions } from "./test-support/splicing.ts"

/** An observer that writes down what it hears. */
function writing(): { lines: unknown[]; observer: Observer } {
  const lines: unknown[] = []
  return {
    lines,
    observer: {
      opened: () => lines.push("opened"),
      changed: (_flow, state) => lines.push(state),
      closed: (_flow, end, totals) => lines.push(Object.keys(FlowEnd)[end], totals),
    },
  }
}

test.each(Object.entries(families))("observers hear of a flow's states and totals, over %s", (_, family) => {
  const { lines, observer } = writing()
  const memory = memoryStack([udp()], { observers: [observer] })
  memory.sockets.world.receive(7, ({ reply }) => {
    reply("12345")
    reply("1234567")
  })
  for (let round = 0; round < 2; round++) {
    const datagram = (content: string) => [
      build.ip(family.guest, family.server),
      build.udp({ sourcePort: 40_000, targetPort: 7 }),
      build.payload(content),
    ]
    memory.guest.send(...datagram("one"))
    memory.run()
    expect(lines.splice(0)).toEqual(["opened", "answered"])
    // Leave together, with one that ends the run.
    for (const content of ["four", "five", "6"]) memory.guest.send(...datagram(content))
    memory.run()
    expect(lines.splice(0)).toEqual(["conversation"])
    memory.run(300_000)
    // The second flow has the state of the first, and begins at 0.
    expect(lines.splice(0)).toEqual([
      "timedOut",
      { packetsFromGuest: 4, bytesFromGuest: 12, packetsToGuest: 8, bytesToGuest: 48 },
    ])
  }
})

test.each(directions)(
  "observers hear of a spliced flow's states and totals, $name",
  ({ place, rules, loopback, target }) => {
    const { lines, observer } = writing()
    const memory = memoryStack([udpWithLocalPath()], { localPath: true, rules, observers: [observer] })
    const { sockets, namespace, stack } = memory
    const [near, far] = place === Interface.host ? [sockets, namespace] : [namespace, sockets]
    const end = { address: undefined, port: 5353, interfaceName: undefined, freebind: false }
    stack.listen(IpProtocol.udp, end, undefined, 53, place)
    far.world.receive({ address: target, port: 53 }, ({ reply }) => {
      reply("12345")
      reply("1234567")
    })
    for (let round = 0; round < 2; round++) {
      near.world.send({ address: loopback, port: 40_000 }, { address: loopback, port: 5353 }, "one")
      memory.run()
      expect(lines.splice(0)).toEqual(["opened", "answered"])
      near.world.send({ address: loopback, port: 40_000 }, { address: loopback, port: 5353 }, "four")
      memory.run()
      expect(lines.splice(0)).toEqual(["conversation"])
      memory.run(300_000)
      const [there, back] = [
        [2, 7],
        [4, 24],
      ]
      const [[packetsFromGuest, bytesFromGuest], [packetsToGuest, bytesToGuest]] =
        place === Interface.host ? [back, there] : [there, back]
      expect(lines.splice(0)).toEqual(["timedOut", { packetsFromGuest, bytesFromGuest, packetsToGuest, bytesToGuest }])
    }
  },
)
