import { arp } from "@demiflow/arp"
import { Address, Arena, Drops } from "@demiflow/core"
import { ForwardingPolicy } from "@demiflow/flow"
import { icmp } from "@demiflow/icmp"
import { createStack, type RunningStack, stackArenaBytes } from "@demiflow/stack"
import { attachArena, EventLoop, LINUX_SOCKETS_ARENA_BYTES, LinuxSockets, SystemRandom } from "@demiflow/sys"
import { type MemoryLink, memoryLinkPair } from "@demiflow/tap"
import { tcp } from "@demiflow/tcp"
import { udp } from "@demiflow/udp"

/** The guest finds the host's loopback here. */
export const GATEWAY: Address = Address.parse("192.0.2.1")
const plugins = [arp({ ourAddresses: [GATEWAY] }), tcp(), udp(), icmp()]
const arena = new Arena(stackArenaBytes({ plugins }) + LINUX_SOCKETS_ARENA_BYTES + (8 << 20))
const native = attachArena(arena)
export const loop: EventLoop = new EventLoop(native, arena)
const [link, end] = memoryLinkPair(arena, arena)
export const guestEnd: MemoryLink = end
const drops = new Drops()
const forwarding = new ForwardingPolicy({ v4: { hostLoopback: GATEWAY } }, drops)
const ends = { link, sockets: new LinuxSockets(native, arena, loop) }
const random = new SystemRandom(native, arena)
export const stack: RunningStack = createStack({ ...ends, loop, forwarding, random, drops, plugins })
link.onReadable = () => stack.framesWait()
