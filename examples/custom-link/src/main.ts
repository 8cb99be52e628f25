// A guest behind a custom frontend: frames over a UNIX socket, with a length before each.
import { strict as assert } from "node:assert"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { arp } from "@demiflow/arp"
import { Address, Arena, Drops } from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy } from "@demiflow/flow"
import { icmp } from "@demiflow/icmp"
import { createStack } from "@demiflow/stack"
import { tapArenaBytes } from "@demiflow/tap"
import {
  build,
  buildPacket,
  describePacket,
  LinkEnd,
  type ParsedFrame,
  parseFrame,
  payload,
  SeededRandom,
  SimulatedSockets,
  VirtualClock,
} from "@demiflow/testkit"
import { StreamLink } from "./stream-link.ts"

// A UNIX socket, as with a hypervisor.
const folder = mkdtempSync(join(tmpdir(), "custom-link-"))
const path = join(folder, "socket")
const server = createServer().listen(path)
const hypervisor = connect(path)
const [connection] = (await once(server, "connection")) as [Socket]

// The stack's end. The host is simulated, so that this runs anywhere; `LinuxSockets` of @demiflow/sys has real sockets.
const arena = new Arena(tapArenaBytes() + (1 << 20))
const clock = new VirtualClock()
const random = new SeededRandom(1)
const drops = new Drops()
const sockets = new SimulatedSockets({ clock, arena })
const link = new StreamLink(arena, connection, { onReady: work })
const { stack, turn } = createStack({
  link,
  sockets,
  flows: new FixedFlowTable({ random, drops, capacity: 1_024 }),
  forwarding: new ForwardingPolicy({ v4: {}, v6: {} }, drops),
  clock,
  random,
  drops,
  plugins: [arp({ guestAddress: Address.parse("192.0.2.2"), ourAddresses: [Address.parse("192.0.2.1")] }), icmp()],
})

/** The work of an event loop: turns, as long as there is work. */
function work(): void {
  do {
    sockets.poll((side, events) => stack.fromHost(side, events))
    turn()
    clock.advance(1)
  } while (sockets.hasEvents)
}

// The guest's end, by hand: sends an ARP request for its gateway, then pings through it.
let arrived = () => {}
const hypervisorLink = new StreamLink(new Arena(1 << 20), hypervisor, { onReady: () => arrived() })
const guest = new LinkEnd(hypervisorLink)

/** Sends a frame, and returns the answer. */
async function exchange(frame: Uint8Array): Promise<ParsedFrame> {
  const answered = new Promise<void>((resolve) => {
    arrived = resolve
  })
  guest.send({ bytes: frame })
  await answered
  return parseFrame(guest.receive()[0].bytes)
}

const guestMac = "02:00:00:00:00:02"
const frames = [
  buildPacket(
    build.ethernet({ source: guestMac }),
    build.arp({ operation: "request", senderMac: guestMac, senderAddress: "192.0.2.2", targetAddress: "192.0.2.1" }),
  ),
  buildPacket(
    build.ethernet({ source: guestMac, target: "9a:55:9a:55:9a:55" }),
    build.ip("192.0.2.2", "198.51.100.7"),
    build.echoRequest(4, 7, 1),
    payload("are you there?"),
  ),
]
for (const frame of frames) {
  console.log(`guest → ${describePacket(parseFrame(frame))}`)
  const answer = await exchange(frame)
  console.log(`guest ← ${describePacket(answer)}`)
  assert.deepEqual(answer.problems, [])
}

link.close()
hypervisorLink.close()
server.close()
rmSync(folder, { recursive: true })
