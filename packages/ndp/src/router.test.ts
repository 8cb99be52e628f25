import { Address } from "@demiflow/core"
import { check } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import type { NdpOptions } from "./index.ts"
import { ALL_NODES, GUEST, LINK_LOCAL, NOBODY, RA, setUp, sourceLinkLayer } from "./test-support.ts"

describe("router solicitations", () => {
  const routerAdvertisement = { prefix: Address.parse(GUEST), mtu: 1500 }

  /** Sets up, and takes what is sent at the start. */
  function quiet(options: NdpOptions) {
    const parts = setUp(options)
    parts.memory.run()
    parts.guest.takeAll()
    return parts
  }

  // RFC 4861 4.2 (source), RFC 4861 4.2 (hop-limit)
  test("are answered to the sender, from our link-local address", () => {
    const { send, guest, tap } = quiet({ routerAdvertisement })
    send(sourceLinkLayer, { target: "ff02::2" })
    const frame = guest.expect(
      check.ethernet({ target: guest.mac }),
      check.ipv6({ source: tap.ourLinkLocal, target: Address.parse(LINK_LOCAL), hopLimit: 255 }),
      check.icmp({ type: RA, code: 0 }),
    )
    expect(frame.problems).toEqual([])
    guest.expectNothing()
  })

  // RFC 4861 6.2.6
  test("are answered to all nodes if the sender has no address yet", () => {
    const { send, guest } = quiet({ routerAdvertisement })
    send([], { source: NOBODY, target: "ff02::2" })
    guest.expect(check.ethernet({ target: (mac) => mac.isMulticast }), check.ipv6({ target: Address.parse(ALL_NODES) }))
  })

  // RFC 4861 6.1.1 (options)
  test("are answered whatever other options they have", () => {
    const { send, guest, drops } = quiet({ routerAdvertisement })
    send([77, 1, 0, 0, 0, 0, 0, 0, ...sourceLinkLayer, 5, 1, 0, 0, 0, 0, 5, 220], { target: "ff02::2" })
    guest.expect(check.icmp({ type: RA, code: 0 }))
    expect(drops.total).toBe(0)
  })

  test("are passed over where there are no advertisements", () => {
    const { send, guest, drops } = quiet({})
    send(sourceLinkLayer, { target: "ff02::2" })
    guest.expectNothing()
    expect(drops.total).toBe(0)
  })

  // RFC 4861 6.2.4 (initial), RFC 4861 6.2.4 (interval)
  test("advertisements come unasked: three at the start, then at intervals of some minutes", () => {
    const { memory, guest } = setUp({ routerAdvertisement })
    const times: number[] = []
    guest.onFrame((frame) => {
      expect(frame.icmp?.type).toBe(RA)
      expect(String(frame.ip?.target)).toBe(ALL_NODES)
      times.push(memory.clock.now)
      return true
    })
    const start = memory.clock.now
    memory.run(4_000_000)
    expect(times.slice(0, 3).map((time) => time - start)).toEqual([0, 16_000, 32_000])
    const intervals = times.slice(3).map((time, index) => time - times[index + 2])
    expect(intervals.length).toBeGreaterThan(5)
    for (const interval of intervals) {
      expect(interval).toBeGreaterThanOrEqual(200_000)
      expect(interval).toBeLessThanOrEqual(600_000)
    }
    expect(new Set(intervals).size).toBeGreaterThan(1)
  })

  test("the advertisements begin anew with each guest, and end when it goes", () => {
    const { memory, guest } = setUp({ routerAdvertisement })
    const { stack } = memory
    const advertised = () => guest.takeAll().filter((frame) => frame.icmp?.type === RA).length
    memory.run(20_000)
    expect(advertised()).toBe(2)
    stack.stop()
    expect(stack.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
    memory.run(1_000_000)
    expect(advertised()).toBe(0)
    stack.start()
    memory.run(0)
    expect(advertised()).toBe(1)
    memory.run(32_000)
    expect(advertised()).toBe(2)
    stack.stop()
  })

  test("nothing comes unasked without advertisements", () => {
    const { memory, guest } = setUp()
    memory.run(1_000_000)
    guest.expectNothing()
  })
})
