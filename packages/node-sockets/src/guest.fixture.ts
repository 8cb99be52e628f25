/**
 * A whole stack over `NodeSockets`, or other sockets, in real time: the guest of the testkit, at the other end of a
 * link in memory, has a turn of the same loop. The guest's gateway, 192.0.2.1 and 2001:db8::1, stands for the host's
 * loopback.
 */
import { once } from "node:events"
import { createServer, type Socket as NodeSocket, type Server } from "node:net"
import { Address, Arena, CryptoRandom, type Driven, Drops, type Sockets } from "@demiflow/core"
import { ForwardingPolicy } from "@demiflow/flow"
import { createStack, type RunningStack, stackArenaBytes } from "@demiflow/stack"
import { memoryLinkPair } from "@demiflow/tap"
import { tcp } from "@demiflow/tcp"
import { GuestTcp, ScriptedGuest, VirtualClock } from "@demiflow/testkit"
import { udp } from "@demiflow/udp"
import { NodeLoop } from "./node-loop.ts"
import { NodeSockets } from "./node-sockets.ts"

const LINK_BYTES = 4 << 20

export const GATEWAY = "192.0.2.1"
export const GATEWAY_V6 = "2001:db8::1"

/** What a test may set. */
export interface GuestOptions<S extends Sockets> {
  /** Large for transfers if not given, because the guest's TCP costs most for each segment. */
  readonly mtu?: number
  readonly sockets: (arena: Arena, loop: NodeLoop) => S
}

export class LoopGuest<S extends Sockets> implements Driven {
  readonly loop: NodeLoop = new NodeLoop()
  readonly sockets: S
  readonly running: RunningStack
  readonly guest: ScriptedGuest
  readonly tcp: GuestTcp
  readonly #clock = new VirtualClock()
  readonly #start = this.#clock.now

  constructor(options: GuestOptions<S>) {
    const { mtu = 65_000 } = options
    const plugins = [tcp(), udp()]
    const arena = new Arena(stackArenaBytes({ plugins }) + 2 * LINK_BYTES + (1 << 20))
    const [link, guestLink] = memoryLinkPair(arena, arena, { capabilities: { mtu }, queueBytes: LINK_BYTES })
    this.sockets = options.sockets(arena, this.loop)
    const drops = new Drops()
    const [v4, v6] = [GATEWAY, GATEWAY_V6].map((gateway) => ({ hostLoopback: Address.parse(gateway) }))
    const forwarding = new ForwardingPolicy({ v4, v6 }, drops)
    const { sockets, loop } = this
    this.running = createStack({
      link,
      sockets,
      loop,
      plugins,
      forwarding,
      drops,
      random: new CryptoRandom(),
      guestV4: Address.parse("192.0.2.2"),
      guestV6: Address.parse("2001:db8::2"),
    })
    this.guest = new ScriptedGuest(guestLink, { clock: this.#clock })
    this.tcp = new GuestTcp(this.guest)
    loop.attach(this)
  }

  /** Has the stack take what the guest has sent outside of its turn. */
  readonly kick = (): void => {
    this.running.framesWait()
    this.loop.wake()
  }

  turn(): void {
    const { received } = this.guest
    const late = this.loop.clock.now + this.#start - this.#clock.now
    this.#clock.advance(Math.max(0, late))
    if (late > 0 || this.guest.received > received) this.running.framesWait()
  }

  nextDeadline(): number {
    return this.#clock.nextDeadline() - this.#start
  }

  close(): void {
    this.loop.detach(this)
    this.running.close()
  }
}

/** A guest over `NodeSockets`. */
export class GuestOnNode extends LoopGuest<NodeSockets> {
  /** Ports at which the host could not listen, with the error numbers. */
  readonly listenErrors: [number, number][]

  constructor() {
    const listenErrors: [number, number][] = []
    super({
      sockets: (arena, loop) =>
        new NodeSockets(arena, loop, { onListenError: ({ port }, errno) => listenErrors.push([port, errno]) }),
    })
    this.listenErrors = listenErrors
  }
}

/** A server on loopback, which isn't surprised by resets. */
export async function serve(onConnection: (socket: NodeSocket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => onConnection(socket.on("error", () => {})))
  server.listen(0)
  await once(server, "listening")
  const bound = server.address()
  if (bound === null || typeof bound === "string") throw new Error("A server without a port")
  return { server, port: bound.port }
}
