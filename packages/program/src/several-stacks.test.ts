import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { connect } from "node:net"
import { arp } from "@demiflow/arp"
import { Address, Arena, Drops, IpProtocol, type ListeningEnd } from "@demiflow/core"
import { ForwardingPolicy } from "@demiflow/flow"
import { icmp } from "@demiflow/icmp"
import { createStack, type RunningStack, stackArenaBytes } from "@demiflow/stack"
import { attachArena, EventLoop, LinuxSockets, SystemRandom } from "@demiflow/sys"
import { type MemoryLink, memoryLinkPair } from "@demiflow/tap"
import { tcp } from "@demiflow/tcp"
import { build, buildPacket, LinkEnd, type ParsedFrame, parseFrame, payload } from "@demiflow/testkit"
import { udp } from "@demiflow/udp"
import { afterAll, beforeAll, expect, test } from "vitest"

const GATEWAY = Address.parse("192.0.2.1")
const GUEST = Address.parse("192.0.2.2")
const plugins = [arp({ guestAddress: GUEST, ourAddresses: [GATEWAY] }), icmp(), tcp({ holdPoolSize: 1 << 20 }), udp()]
const sizes = { plugins, transmitBytes: 1 << 20, reassemblySlots: 1 }
const arena = new Arena(2 * stackArenaBytes(sizes) + (32 << 20))
const native = attachArena(arena)
const others = readdirSync("/proc/self/fd").filter(isEpoll)
const loop = new EventLoop(native, arena)
/** The descriptor of the loop's epoll instance. */
const epoll = readdirSync("/proc/self/fd").find((number) => !others.includes(number) && isEpoll(number))
const random = new SystemRandom(native, arena)
let ended: Promise<void>
let server: Socket

beforeAll(async () => {
  server = createSocket("udp4").bind(0, "127.0.0.1")
  await once(server, "listening")
  server.on("message", (text, { address, port }) => server.send(`${text}!`, port, address))
  ended = loop.run()
})
afterAll(async () => {
  loop.stop()
  await ended
  server.close()
  loop.close()
})

/** What a stack uses on the host and the loop, and what it could use of the arena. */
function resources(): { descriptors: number; watched: number; remaining: number } {
  const watched = readFileSync(`/proc/self/fdinfo/${epoll}`, "utf8").match(/^tfd:/gm) ?? []
  return { descriptors: readdirSync("/proc/self/fd").length, watched: watched.length, remaining: arena.remaining }
}

/** One guest: its link, its end of it, and its sockets stay when its stack is closed. */
class Guest {
  readonly #link: MemoryLink
  readonly #end: LinkEnd
  readonly #sockets = new LinuxSockets(native, arena, loop)
  readonly #seen: ParsedFrame[] = []

  constructor() {
    const [link, guestEnd] = memoryLinkPair(arena, arena, { queueBytes: 1 << 20 })
    this.#link = link
    this.#end = new LinkEnd(guestEnd)
  }

  open(): RunningStack {
    const drops = new Drops()
    const forwarding = new ForwardingPolicy({ v4: { hostLoopback: GATEWAY, guestAddress: GUEST } }, drops)
    const options = { loop, link: this.#link, sockets: this.#sockets, forwarding, random, drops, guestV4: GUEST }
    const running = createStack({ ...sizes, ...options })
    this.#link.onReadable = () => running.framesWait()
    return running
  }

  async ask(text: string): Promise<string> {
    this.#end.send({
      bytes: buildPacket(
        build.ethernet({ source: "02:00:00:00:00:02", target: "9a:55:9a:55:9a:55" }),
        build.ip(GUEST.toString(), GATEWAY.toString()),
        build.udp({ sourcePort: 40_000, targetPort: server.address().port }),
        payload(text),
      ),
    })
    const datagram = await this.see((packet) => packet.udp !== undefined)
    return new TextDecoder().decode(datagram.payload)
  }

  /** Waits for a packet. */
  async see(isWanted: (packet: ParsedFrame) => boolean): Promise<ParsedFrame> {
    for (;;) {
      this.#seen.push(...this.#end.receive().map(({ bytes }) => parseFrame(bytes)))
      const index = this.#seen.findIndex(isWanted)
      if (index >= 0) return this.#seen.splice(index, 1)[0]
      await new Promise(setImmediate)
    }
  }
}

function isEpoll(number: string): boolean {
  return existsSync(`/proc/self/fd/${number}`) && readlinkSync(`/proc/self/fd/${number}`).includes("eventpoll")
}

const portOf = async (): Promise<number> => {
  const probe = createSocket("udp4").bind(0, "127.0.0.1")
  await once(probe, "listening")
  const { port } = probe.address()
  probe.close()
  await once(probe, "close")
  return port
}

test("two stacks on one loop serve a guest each, and one goes on when the other is closed", async () => {
  const guests = [new Guest(), new Guest()]
  const before = resources()
  const stacks = guests.map((guest) => guest.open())
  const listeners: ListeningEnd[] = []
  for (const { stack } of stacks) {
    const end = { address: Address.parse("127.0.0.1"), port: await portOf(), interfaceName: undefined, freebind: false }
    listeners.push(end)
    // The numbers of listeners are the same in both stacks, as are those of sides.
    expect(stack.listen(IpProtocol.tcp, end, undefined, 8_000)).toBe(0)
    expect(stack.listen(IpProtocol.udp, end, undefined, 8_000)).toBe(1)
  }
  for (const [index, guest] of guests.entries()) {
    expect(await guest.ask(`hello ${index}`)).toBe(`hello ${index}!`)
    const client = connect(listeners[index].port, "127.0.0.1")
    client.on("error", () => {})
    expect(await guest.see((packet) => packet.tcp !== undefined)).toMatchObject({ tcp: { targetPort: 8_000 } })
    expect(stacks.map(({ stack }) => stack.parts.flows.size)).toEqual(index === 0 ? [2, 0] : [2, 2])
  }
  stacks[0].close()
  stacks[0].close()
  expect(stacks[0].turn()).toBe(0)
  expect(await guests[1].ask("again")).toBe("again!")
  // What the first one had is free for another.
  const third = guests[0].open()
  expect(await guests[0].ask("back")).toBe("back!")
  third[Symbol.dispose]()
  stacks[1].close()
  await expect.poll(resources).toEqual(before)
})

test("a stack that can't be assembled leaves nothing behind", () => {
  const guest = new Guest()
  const before = resources()
  const broken = () => {
    throw new Error("not this one")
  }
  const [link] = memoryLinkPair(arena, arena, { queueBytes: 65_536 })
  const remaining = arena.remaining
  const sockets = new LinuxSockets(native, arena, loop)
  const left = arena.remaining
  expect(() => createStack({ ...sizes, plugins: [...plugins, broken], loop, link, sockets, random })).toThrow(
    "not this one",
  )
  expect([arena.remaining, resources().watched]).toEqual([left, before.watched])
  expect(remaining).toBeGreaterThan(left)
  guest.open().close()
  expect(arena.remaining).toBe(left)
})

test("sockets serve one stack, and a second one is refused without harm to the first", async () => {
  const guest = new Guest()
  const before = resources()
  const first = guest.open()
  expect(() => guest.open()).toThrow(expect.objectContaining({ code: "ERR_SOCKETS_IN_USE" }))
  expect(await guest.ask("still there?")).toBe("still there?!")
  first.close()
  await expect.poll(resources).toEqual(before)
})
