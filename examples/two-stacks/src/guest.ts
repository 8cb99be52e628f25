import { arp } from "@demiflow/arp"
import { Address, type Arena, Drops, type ProtocolPlugin } from "@demiflow/core"
import { ForwardingPolicy } from "@demiflow/flow"
import { createStack, type RunningStack } from "@demiflow/stack"
import { type EventLoop, LinuxSockets, type Native, SystemRandom } from "@demiflow/sys"
import { type MemoryLink, memoryLinkPair } from "@demiflow/tap"
import { build, buildPacket, LinkEnd, parseFrame, payload } from "@demiflow/testkit"
import { udp } from "@demiflow/udp"

/** The guest finds the host's loopback here. */
const GATEWAY = Address.parse("192.0.2.1")
const GUEST = Address.parse("192.0.2.2")

export const plugins: readonly ProtocolPlugin[] = [arp({ guestAddress: GUEST, ourAddresses: [GATEWAY] }), udp()]

/** A guest with a stack of its own. Both guests have the same addresses, and use the same ports. */
export class Guest {
  readonly stack: RunningStack
  readonly #loop: EventLoop
  readonly #link: MemoryLink
  readonly #guestEnd: MemoryLink
  readonly #end: LinkEnd

  constructor(native: Native, arena: Arena, loop: EventLoop) {
    const [link, guestEnd] = memoryLinkPair(arena, arena)
    const drops = new Drops()
    this.stack = createStack({
      loop,
      link,
      sockets: new LinuxSockets(native, arena, loop),
      forwarding: new ForwardingPolicy({ v4: { hostLoopback: GATEWAY } }, drops),
      random: new SystemRandom(native, arena),
      drops,
      plugins,
    })
    link.onReadable = () => this.stack.framesWait()
    this.#loop = loop
    this.#link = link
    this.#guestEnd = guestEnd
    this.#end = new LinkEnd(guestEnd)
  }

  /** Sends a datagram to a port of the host's loopback. Returns the text of the answer. */
  ask(port: number, text: string): Promise<string> {
    const answer = new Promise<string>((resolve) => {
      this.#guestEnd.onReadable = () => {
        const packets = this.#end.receive().map(({ bytes }) => parseFrame(bytes))
        const datagram = packets.find((packet) => packet.udp !== undefined)
        if (datagram === undefined) return
        resolve(new TextDecoder().decode(datagram.payload))
        // The loop would block before the code that awaits this.
        this.#loop.requestTurn()
      }
    })
    const bytes = buildPacket(
      build.ethernet({ source: "02:00:00:00:00:02", target: "9a:55:9a:55:9a:55" }),
      build.ip(GUEST.toString(), GATEWAY.toString()),
      build.udp({ sourcePort: 40_000, targetPort: port }),
      payload(text),
    )
    this.#end.send({ bytes })
    return answer
  }

  close(): void {
    this.stack.close()
    this.#link.close()
  }
}
