/**
 * Datagrams of one size travel together: the guest's kernel sends and receives them joined (USO on the tap), so does
 * the host's (UDP_SEGMENT, UDP_GRO), and we join single ones. The packet counters of devices and receivers with UDP_GRO
 * show this. Other receivers get datagrams one by one, and so does a kernel that can't split them.
 */
import { join } from "node:path"
import { describe, expect } from "vitest"
import { statusOf } from "./harness/inspection.ts"
import { reachable, testWith } from "./harness/machine.ts"
import { usePasta } from "./harness/pasta.ts"
import type { Place } from "./harness/places.ts"
import { eventually } from "./harness/processes.ts"
import { UDP_PORT } from "./harness/servers.ts"
import { usePasst } from "./harness/stand-in.ts"
import { type Family, overBoth, useTopology } from "./harness/topology.ts"

/** Packets on a device besides the counted ones: neighbour and router discovery. */
const OTHER_PACKETS = 12

interface Burst {
  readonly from: Place
  readonly to: Place
  readonly address: string
  /** The address of the receiver. */
  readonly at?: string
  readonly count: number
  readonly size: number
  /** Datagrams in one call. */
  readonly each: number
  readonly receives: "alone" | "together"
  /** A process that is stopped while they are sent, so that it finds all of them. */
  readonly stopped?: number
}

interface Arrival {
  readonly good: number
  readonly messages: number
  readonly most: number
}

const program = () => reachable(join(import.meta.dirname, "programs/datagram-burst.py"))

async function carry(burst: Burst): Promise<Arrival> {
  const { from, to, address, at = address, count, size, each, receives, stopped } = burst
  const words = ["/usr/bin/python3", program()]
  const receiver = to.start([...words, "receive", at, String(UDP_PORT), String(count), receives])
  await receiver.printed(/^ready$/m)
  const numbers = [UDP_PORT, count, size, each].map(String)
  const sender = from.start([...words, "send", address, ...numbers], { keepInputOpen: true })
  // Datagrams before a flow has a socket of its own don't count here.
  await receiver.printed(/^begun$/m)
  if (stopped !== undefined) await stopIdle(stopped)
  try {
    sender.write("\n")
    await sender.printed(/^sent$/m)
  } finally {
    if (stopped !== undefined) process.kill(stopped, "SIGCONT")
  }
  const { stdout, stderr } = await receiver.result
  const [, report] = /^(\{.*\})$/m.exec(stdout) ?? []
  if (report === undefined) throw new Error(`${receiver.command}: ${stderr}`)
  return JSON.parse(report) as Arrival
}

/** Stops a process once it has finished its work. */
async function stopIdle(pid: number): Promise<void> {
  await eventually("the data path is idle", () => (statusOf(pid, "State").startsWith("S") ? true : undefined))
  process.kill(pid, "SIGSTOP")
}

type Counted = "rx" | "tx"

/** The number of packets that a device counts while a function runs. One packet may hold many datagrams. */
async function packets(place: Place, counted: Counted, body: () => Promise<void>): Promise<number> {
  const count = async () => {
    const [link] = await place.json<{ stats64: Record<Counted, { packets: number }> }[]>(
      "ip -s -j link show dev eth0".split(" "),
    )
    return link?.stats64[counted].packets ?? Number.NaN
  }
  const before = await count()
  await body()
  return (await count()) - before
}

const anywhere = (family: Family) => (family.version === 4 ? "0.0.0.0" : "::")

describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
  const topology = useTopology({ mtu: 65_535 })
  const ports = ["-t", "none", "-T", "none", "-u", String(UDP_PORT), "-U", "none"]
  const running = usePasta(topology, { options: ["--config-net", "-m", String(mtu), ...ports] })

  testWith("ethtool")("the guest's kernel has its device cut datagrams", async () => {
    expect(await running.guest.must(["ethtool", "-k", "eth0"])).toMatch(/^tx-udp-segmentation: on/m)
  })

  overBoth((family) => {
    const up = () => ({ from: running.guest, to: topology.world, address: family.server })
    const down = () => ({ from: topology.world, to: running.guest, address: family.host, at: anywhere(family) })

    testWith("python3")("what the guest sends together leaves the guest, and the host, together", async () => {
      const burst = { count: 60, size: 1000, each: 20, receives: "together", stopped: running.dataPath } as const
      let onHost = 0
      const onTap = await packets(running.guest, "tx", async () => {
        onHost = await packets(topology.host, "tx", async () => {
          const { good, most } = await carry({ ...up(), ...burst })
          expect(good).toBe(60)
          expect(most).toBeGreaterThanOrEqual(20)
        })
      })
      expect(onTap).toBeLessThan(3 + OTHER_PACKETS)
      expect(onHost).toBeLessThan(3 + OTHER_PACKETS)
    })

    testWith("python3")("what the guest sends one by one leaves the host together", async () => {
      const burst = { count: 200, size: 1000, each: 1, receives: "together", stopped: running.dataPath } as const
      const onHost = await packets(topology.host, "tx", async () => {
        const { good, most } = await carry({ ...up(), ...burst })
        expect(good).toBe(200)
        expect(most).toBeGreaterThan(10)
      })
      // The process begins with reading small batches.
      expect(onHost).toBeLessThan(60)
    })

    testWith("python3")("what the world sends together reaches the host, and the guest, together", async () => {
      const burst = { count: 60, size: 1000, each: 20, receives: "together" } as const
      const onTap = await packets(running.guest, "rx", async () => {
        const { good, most } = await carry({ ...down(), ...burst })
        expect(good).toBe(60)
        expect(most).toBeGreaterThanOrEqual(20)
      })
      expect(onTap).toBeLessThan(3 + OTHER_PACKETS)
    })

    testWith("python3")("what the world sends one by one reaches the guest together", async () => {
      const burst = { count: 200, size: 1000, each: 1, receives: "together", stopped: running.dataPath } as const
      const onTap = await packets(running.guest, "rx", async () => {
        const { good, most } = await carry({ ...down(), ...burst })
        expect(good).toBe(200)
        expect(most).toBeGreaterThan(10)
      })
      expect(onTap).toBeLessThan(60)
    })

    if (mtu > 10_000) {
      // We don't join datagrams of this size: if they are one packet on the tap, the host's kernel joined them.
      testWith("python3")("the host's socket receives together", async () => {
        const burst = { count: 120, size: 10_000, each: 6, receives: "alone" } as const
        const onTap = await packets(running.guest, "rx", async () => {
          expect(await carry({ ...down(), ...burst })).toEqual({ good: 120, messages: 120, most: 1 })
        })
        expect(onTap).toBeLessThan(20 + OTHER_PACKETS)
      })
    }

    testWith("python3")("who doesn't ask for it receives one by one", async () => {
      const burst = { count: 60, size: 1000, each: 20, receives: "alone" } as const
      const oneByOne = { good: 60, messages: 60, most: 1 }
      expect(await carry({ ...up(), ...burst })).toEqual(oneByOne)
      expect(await carry({ ...down(), ...burst })).toEqual(oneByOne)
    })
  })
})

describe("where the host's kernel doesn't cut, because datagrams are longer than its MTU,", () => {
  const topology = useTopology()
  const running = usePasta(topology, { options: ["--config-net", "-m", "65520"] })

  overBoth((family) => {
    testWith("python3")("they arrive all the same, together before or not", async () => {
      const burst = { from: running.guest, to: topology.world, address: family.server, receives: "together" } as const
      for (const each of [1, 10]) {
        const { good } = await carry({ ...burst, count: 60, size: 2000, each, stopped: running.dataPath })
        expect(good).toBe(60)
      }
    })
  })
})

describe.each([65520, 1500])("over a link that cuts nothing, with an MTU of %i,", (mtu) => {
  const topology = useTopology({ mtu: 65_535 })
  const running = usePasst(topology, { mtu, options: ["-u", String(UDP_PORT)] })

  overBoth((family) => {
    testWith("python3")("datagrams arrive all the same, together before or not", async () => {
      for (const each of [1, 20]) {
        const burst = { count: 60, size: 1000, each, receives: "together" } as const
        const up = { from: running.guest, to: topology.world, address: family.server }
        expect(await carry({ ...up, ...burst })).toMatchObject({ good: 60 })
        const down = { from: topology.world, to: running.guest, address: family.host, at: anywhere(family) }
        expect(await carry({ ...down, ...burst })).toMatchObject({ good: 60 })
      }
    })
  })
})

describe.each([true, false])("from loopback to loopback, into the namespace: %s,", (isFromHost) => {
  const topology = useTopology()
  const ports = isFromHost ? ["-u", String(UDP_PORT), "-U", "none"] : ["-u", "none", "-U", String(UDP_PORT)]
  const options = ["--config-net", "--host-lo-to-ns-lo", "-t", "none", "-T", "none", ...ports]
  const running = usePasta(topology, { options })

  overBoth((family) => {
    const local = () => {
      const [from, to] = isFromHost ? [topology.host, running.guest] : [running.guest, topology.host]
      return { from, to, address: family.loopback }
    }

    testWith("python3")("what is sent together arrives together, and alone where nobody asks for it", async () => {
      const burst = { count: 60, size: 1000, each: 20 } as const
      const { good, most } = await carry({ ...local(), ...burst, receives: "together" })
      expect(good).toBe(60)
      expect(most).toBeGreaterThanOrEqual(20)
      expect(await carry({ ...local(), ...burst, receives: "alone" })).toEqual({ good: 60, messages: 60, most: 1 })
    })

    testWith("python3")("what is sent one by one arrives together", async () => {
      const burst = { count: 200, size: 1000, each: 1, receives: "together", stopped: running.dataPath } as const
      const { good, most } = await carry({ ...local(), ...burst })
      expect(good).toBe(200)
      expect(most).toBeGreaterThan(10)
    })
  })
})
