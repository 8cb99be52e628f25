import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { arp } from "@demiflow/arp"
import { Address, Arena, Drops, type Forwarding } from "@demiflow/core"
import { ForwardingPolicy } from "@demiflow/flow"
import { createStack, stackArenaBytes } from "@demiflow/stack"
import { attachArena, EventLoop, LinuxSockets, SystemRandom } from "@demiflow/sys"
import { memoryLinkPair } from "@demiflow/tap"
import { build, buildPacket, LinkEnd, payload } from "@demiflow/testkit"
import { udp } from "@demiflow/udp"
import { expect, test } from "vitest"

const GATEWAY = Address.parse("192.0.2.1")
const plugins = [arp({ ourAddresses: [GATEWAY] }), udp()]
const sizes = { plugins, transmitBytes: 1 << 20, reassemblySlots: 1 }

test("a policy may answer when a promise is settled, though nothing else happens in the runtime", async () => {
  const arena = new Arena(stackArenaBytes(sizes) + (16 << 20))
  const native = attachArena(arena)
  const loop = new EventLoop(native, arena)
  const drops = new Drops()
  const inner = new ForwardingPolicy({ v4: { hostLoopback: GATEWAY } }, drops)
  const forwarding: Forwarding = Object.assign(Object.create(inner) as ForwardingPolicy, {
    patience: { milliseconds: 500 },
    target: (protocol, initiating, ruling) => {
      inner.target(protocol, initiating, ruling)
      return ruling.later(async (question) => {
        await Promise.resolve()
        question.answer(question.ruling.forward())
      })
    },
  } satisfies Partial<Forwarding>)
  const [link, guestEnd] = memoryLinkPair(arena, arena, { queueBytes: 1 << 20 })
  const sockets = new LinuxSockets(native, arena, loop)
  const random = new SystemRandom(native, arena)
  const running = createStack({ ...sizes, loop, link, sockets, forwarding, random, drops })
  const server: Socket = createSocket("udp4").bind(0, "127.0.0.1")
  await once(server, "listening")
  const ended = loop.run()
  const received = once(server, "message")
  await new Promise((resolve) => setTimeout(resolve, 20))
  new LinkEnd(guestEnd).send({
    bytes: buildPacket(
      build.ethernet({ source: "02:00:00:00:00:02", target: "9a:55:9a:55:9a:55" }),
      build.ip("192.0.2.2", GATEWAY.toString()),
      build.udp({ sourcePort: 40_000, targetPort: server.address().port }),
      payload("hello"),
    ),
  })
  running.framesWait()
  const tooLate = new Promise((resolve) => setTimeout(() => resolve(drops.entries()), 4_000))
  expect(await Promise.race([received.then(() => "arrived"), tooLate])).toBe("arrived")
  loop.stop()
  await ended
  running.close()
  server.close()
  loop.close()
})
