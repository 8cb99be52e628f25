import { Address, Demiflow, HANDLED, Interface, IpProtocol, Segmentation } from "@demiflow/core"
import {
  build,
  check,
  concatenate,
  type MemoryStackOptions,
  memoryStack,
  type PacketMarks,
  patternBytes,
  sameBytes,
} from "@demiflow/testkit"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { udp } from "./index.ts"
import { families } from "./test-support/families.ts"

/** UDP over a link that takes the largest packets whole, unless an option says otherwise. */
const stackWith = (options: MemoryStackOptions = {}) => memoryStack([udp()], { link: { mtu: 65_535 }, ...options })

describe.each(Object.entries(families))(
  "a stack in memory over %s",
  (name, { guest: guestAddress, server, router }) => {
    const isV4 = name === "IPv4"
    const datagram = (port: number, content: string | Uint8Array, hopLimit?: number, marks?: PacketMarks) => [
      build.ip(guestAddress, server, hopLimit, undefined, marks),
      build.udp({ sourcePort: port, targetPort: 53 }),
      build.payload(content),
    ]

    test("a question gets its answer", () => {
      const memory = stackWith()
      memory.sockets.world.receive(53, ({ text, reply }) => reply(`${text}? 192.0.2.99`))
      memory.guest.send(...datagram(40_000, "example.org"))
      memory.guest.expect(
        check.ip({ source: server, target: guestAddress }),
        check.udp({ sourcePort: 53, targetPort: 40_000 }),
        check.payload("example.org? 192.0.2.99"),
      )
      memory.run(180_000)
      expect(memory.leftovers()).toEqual([])
    })

    test("a report that a datagram was too big for the guest's side is believed of one that may not be fragmented", () => {
      const memory = stackWith()
      const quoteOffset = memory.arena.reserve(8)
      const answers: boolean[] = []
      const report = (guestPort: number, mtu: number) => {
        const tap = Demiflow.of(Interface.tap, Address.parse(server), 53, Address.parse(guestAddress), guestPort)
        const error = { type: isV4 ? 3 : 2, code: isV4 ? 4 : 0, mtu, quoteOffset, quoteLength: 8 }
        memory.stack.register(({ reportGuestError }) => {
          answers.push(reportGuestError(IpProtocol.udp, tap, error))
          return { name: "reporter", claims: [], fromGuest: () => HANDLED }
        })
      }
      let reply: ((content: string) => void) | undefined
      memory.sockets.world.receive(53, (received) => {
        reply = received.reply
      })
      memory.guest.send(...datagram(40_000, "?"))
      memory.run()
      // Nothing was sent to the guest so far.
      report(40_000, 1_300)
      reply?.("!")
      memory.run()
      report(40_001, 1_300)
      report(40_000, 0)
      report(40_000, 1_300)
      expect(answers).toEqual([false, false, false, !isV4])
    })

    test("anybody answers what was sent to a group, and is answered", () => {
      const { guest, sockets, drops, run } = stackWith()
      const own = isV4 ? "192.0.2.1" : "2001:db8::1"
      const heard: string[] = []
      sockets.world.receive({ address: server, port: 1900 }, ({ text, hostPort }) => heard.push(`${text} ${hostPort}`))
      guest.send(
        build.ip(guestAddress, isV4 ? "239.255.255.250" : "ff0e::c"),
        build.udp({ sourcePort: 40_000, targetPort: 1900 }),
        build.payload("search"),
      )
      run()
      sockets.world.send({ address: server, port: 1900 }, { address: own, port: 40_000 }, "here")
      guest.expect(
        check.ip({ source: server, target: guestAddress }),
        check.udp({ sourcePort: 1900, targetPort: 40_000 }),
        check.payload("here"),
      )
      guest.send(
        build.ip(guestAddress, server),
        build.udp({ sourcePort: 40_000, targetPort: 1900 }),
        build.payload("thanks"),
      )
      run()
      expect(heard).toContain("thanks 40000")
      expect(drops.total).toBe(0)
    })

    // RFC 4787 REQ-8
    test("an answer from another port of the address that was asked is delivered and answered, one from elsewhere is dropped", () => {
      const memory = stackWith()
      const { guest, sockets, drops } = memory
      const own = isV4 ? "192.0.2.1" : "2001:db8::1"
      const acknowledged: string[] = []
      sockets.world.receive(53, () => {})
      sockets.world.receive({ address: server, port: 54 }, ({ text, hostPort }) =>
        acknowledged.push(`${text} ${hostPort}`),
      )
      guest.send(...datagram(40_000, "?"))
      memory.run()
      const to = { address: own, port: 40_000 }
      sockets.world.send({ address: router, port: 53 }, to, "not asked")
      guest.expectNothing()
      expect(drops.entries()).toEqual([["udp: from an address that the guest has not written to", 1]])
      sockets.world.send({ address: server, port: 54 }, to, "block")
      guest.expect(
        check.ip({ source: server, target: guestAddress }),
        check.udp({ sourcePort: 54, targetPort: 40_000 }),
        check.payload("block"),
      )
      guest.send(
        build.ip(guestAddress, server),
        build.udp({ sourcePort: 40_000, targetPort: 54 }),
        build.payload("acknowledged"),
      )
      memory.run()
      expect(acknowledged).toEqual(["acknowledged 40000"])
      sockets.world.send({ address: server, port: 53 }, to, "asked")
      guest.expect(check.payload("asked"))
      memory.run(180_000)
      expect(memory.leftovers()).toEqual([])
      // The mapping is gone, and so is the permission to use it.
      sockets.world.send({ address: server, port: 53 }, to, "late")
      guest.expectNothing()
    })

    // RFC 4787 REQ-1
    test("a port of the guest's is one port of the host's for all its correspondents", () => {
      const memory = stackWith()
      const { guest, sockets } = memory
      const seen: number[] = []
      sockets.world.receive(53, ({ hostPort, reply }) => {
        seen.push(hostPort)
        reply("!")
      })
      for (const address of [server, router, server]) {
        guest.send(
          build.ip(guestAddress, address),
          build.udp({ sourcePort: 40_000, targetPort: 53 }),
          build.payload("?"),
        )
        guest.expect(check.ip({ source: address }), check.udp({ targetPort: 40_000 }), check.payload("!"))
      }
      expect(seen).toEqual([40_000, 40_000, 40_000])
      expect([memory.sockets.openSockets, memory.flows.size]).toEqual([1, 2])
    })

    test.each([
      ["the host's loopback", true],
      ["others", false],
    ])("so it is where they are reached from an address that is given, and %s first", (_, isLoopbackFirst) => {
      const own = isV4 ? "192.0.2.1" : "2001:db8::1"
      const loopback = isV4 ? "127.0.0.1" : "::1"
      const gateway = isV4 ? "192.0.2.254" : "2001:db8::fe"
      const rules = { outboundAddress: Address.parse(own), hostLoopback: Address.parse(gateway) }
      const { guest, sockets } = stackWith({ rules: { v4: rules, v6: rules } })
      const seen: string[] = []
      for (const address of [server, loopback]) {
        sockets.world.receive({ address, port: 53 }, ({ hostAddress, hostPort, reply }) => {
          seen.push(`${address} from ${hostAddress} ${hostPort}`)
          reply("!")
        })
      }
      for (const address of isLoopbackFirst ? [gateway, server] : [server, gateway]) {
        guest.send(
          build.ip(guestAddress, address),
          build.udp({ sourcePort: 40_000, targetPort: 53 }),
          build.payload("?"),
        )
        guest.expect(check.ip({ source: address }), check.udp({ targetPort: 40_000 }), check.payload("!"))
      }
      expect(seen.sort()).toEqual([`${server} from ${own} 40000`, `${loopback} from ${loopback} 40000`].sort())
    })

    test("datagrams of all sizes make their way there and back", () => {
      const { guest, sockets, drops } = stackWith()
      sockets.world.echo(53)
      for (const length of [0, 1, 512, 1472, 8192, isV4 ? 65_507 : 65_487]) {
        guest.send(...datagram(length, patternBytes(length)))
        guest.expect(check.payload(patternBytes(length)))
      }
      expect(drops.total).toBe(0)
    })

    test("what exceeds the guest's MTU comes in fragments", () => {
      const { guest, sockets } = stackWith({ link: { mtu: 1500 } })
      sockets.world.receive(53, ({ reply }) => reply(patternBytes(65_507)))
      guest.send(...datagram(40_000, "?"))
      const fragments = guest.takeAll()
      expect(fragments.flatMap(({ problems }) => problems)).toEqual([])
      expect(Math.max(...fragments.map(({ ip }) => ip?.length ?? 0))).toBeLessThanOrEqual(1500)
      const pieces = fragments.map(({ payload }) => payload)
      expect(sameBytes(concatenate(pieces), patternBytes(65_507))).toBe(true)
    })

    test("tracing a route finds every router, then the closed port", () => {
      const { guest, sockets } = stackWith()
      sockets.world.route(server, { hops: [router] })
      const probe = (port: number, hopLimit: number) => guest.send(...datagram(port, "probe", hopLimit))
      const [timeExceeded, unreachable, portUnreachable] = isV4 ? [11, 3, 3] : [3, 1, 4]
      const quoted = check.quote(
        check.ip({ source: guestAddress, target: server }),
        check.udp({ sourcePort: 33_434, targetPort: 53, length: 13 }),
        check.payload("probe"),
      )
      probe(33_434, 1)
      guest.expect(check.ip({ source: router }), check.icmp({ type: timeExceeded, code: 0 }), quoted)
      probe(33_434, 2)
      guest.expect(check.ip({ source: server }), check.icmp({ type: unreachable, code: portUnreachable }), quoted)
      guest.expectNothing()
    })

    // RFC 4787 REQ-13
    test("too large a datagram is answered with the MTU of the way", () => {
      const { guest, sockets } = stackWith()
      sockets.world.route(server, { hops: [router], mtu: 1400 })
      guest.send(...datagram(1, patternBytes(1400), undefined, { doNotFragment: true }))
      guest.expect(
        check.ip({ source: router }),
        check.icmp({ type: isV4 ? 3 : 2, code: isV4 ? 4 : 0, information: 1400 }),
      )
    })

    test("DSCP and ECN are kept both ways, of each datagram", () => {
      const { guest, sockets, drops } = stackWith()
      sockets.world.receive(53, ({ trafficClass, reply }) => reply("back", { trafficClass: trafficClass ^ 0xff }))
      for (const trafficClass of [0xb8, 0xb8, 0x02, 0, 0x03]) {
        guest.send(...datagram(40_000, "there", 64, { trafficClass }))
        const { ip } = guest.expect(check.payload("back"))
        expect(ip?.trafficClass).toBe(trafficClass ^ 0xff)
      }
      expect(drops.total).toBe(0)
    })

    test("datagrams of different classes that arrive together stay apart", () => {
      const { guest, sockets } = stackWith({
        link: { checksumOffload: true, udpSegmentation: true },
        sockets: { coalescesDatagrams: true },
      })
      const classes = [0, 0, 0xb8, 0xb8, 0x01]
      sockets.world.receive(53, ({ reply }) => {
        for (const trafficClass of classes) reply("same size", { trafficClass })
      })
      guest.send(...datagram(40_000, "all"))
      const frames = guest.takeAll()
      expect(frames.map(({ ip, payload }) => [ip?.trafficClass, payload.length])).toEqual([
        [0, 18],
        [0xb8, 18],
        [0x01, 9],
      ])
    })

    test("a datagram that may be fragmented reaches its correspondent over a narrower way, over IPv4", () => {
      const { guest, sockets } = stackWith()
      sockets.world.route(server, { hops: [router], mtu: 1400 })
      sockets.world.receive(53, ({ reply }) => reply("whole"))
      guest.send(...datagram(1, patternBytes(1400)))
      if (isV4) guest.expect(check.payload("whole"))
      else guest.expect(check.icmp({ type: 2, code: 0, information: 1400 }))
    })

    test("datagrams that the guest left together arrive one by one, and so do the answers that the host left together", () => {
      for (const udpSegmentation of [true, false]) {
        const { guest, sockets, drops } = stackWith({
          link: { mtu: 1500, checksumOffload: true, udpSegmentation },
          sockets: { coalescesDatagrams: true, rtt: 10 },
        })
        sockets.world.echo(53)
        const frame = build
          .ethernet()
          .build(
            build
              .ip(guestAddress, server)
              .build(
                build
                  .udp({ sourcePort: 9, targetPort: 53 })
                  .build(patternBytes(2500), [build.ip(guestAddress, server)], undefined),
                [],
                build.udp({ sourcePort: 9, targetPort: 53 }),
              ),
            [],
            build.ip(guestAddress, server),
          )
        const headerLength = frame.length - 2500
        guest.sendFrame(frame, {
          segmentation: Segmentation.udp,
          segmentSize: 1000,
          headerLength,
          checksumStart: headerLength - 8,
          checksumOffset: 6,
        })
        guest.clock.advance(20)
        const answers = guest.takeAll()
        expect(drops.entries()).toEqual([])
        expect(answers.map(({ segmentSize }) => segmentSize)).toEqual(udpSegmentation ? [1000] : [0, 0, 0])
        const bytes = answers.flatMap(({ payload }) => [...payload])
        expect(sameBytes(Uint8Array.from(bytes), patternBytes(2500))).toBe(true)
      }
    })

    test("whatever the kernel does with sockets, each answer is one that was asked for, and nothing is left behind", () => {
      fc.assert(
        fc.property(
          fc.integer(),
          fc.array(fc.record({ port: fc.integer({ min: 1, max: 9 }), length: fc.nat(3000), pause: fc.nat(3) }), {
            minLength: 1,
            maxLength: 60,
          }),
          fc.boolean(),
          (seed, questions, coalescesDatagrams) => {
            const faults = { partialSend: 0.1, lateEvent: 0.3, lateness: 5, spuriousEvent: 0.3 }
            const memory = stackWith({ seed, capacity: 6, sockets: { faults, rtt: 4, jitter: 3, coalescesDatagrams } })
            memory.sockets.world.echo(53)
            const asked = new Map<string, number>()
            for (const { port, length, pause } of questions) {
              const key = `${port} ${length}`
              asked.set(key, (asked.get(key) ?? 0) + 1)
              memory.guest.send(...datagram(port, patternBytes(length, port)))
              memory.run(pause)
            }
            memory.run(1000)
            const answers = memory.guest.takeAll()
            for (const { payload, udp, problems } of answers) {
              const key = `${udp?.targetPort} ${payload.length}`
              const left = asked.get(key) ?? 0
              expect({ key, left: left > 0, problems }).toEqual({ key, left: true, problems: [] })
              asked.set(key, left - 1)
              expect(sameBytes(payload, patternBytes(payload.length, udp?.targetPort))).toBe(true)
            }
            // A flow that gives way may have sent more than one question.
            const gaveWay = memory.drops.get("udp: gave way unanswered")
            const lost = questions.length - answers.length - (memory.drops.total - gaveWay)
            expect(lost === 0 || (lost > 0 && gaveWay > 0)).toBe(true)
            memory.run(200_000)
            expect(memory.leftovers()).toEqual([])
          },
        ),
        { numRuns: 60 },
      )
    })
  },
)
