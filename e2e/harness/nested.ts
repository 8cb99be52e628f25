/**
 * A namespace behind the guest's: its packets cross a wire inside the guest and are forwarded to
 * pasta's tap device. What happens on that wire happens between pasta and the guest's own TCP.
 */
import { afterAll, beforeAll } from "vitest"
import { type Guest, Namespace, type Place } from "./places.ts"
import { run } from "./processes.ts"
import { startWire, type Wire, type WireCounts, type WireOptions } from "./wire.ts"

const near = { 4: "203.0.113.1/24", 6: "2001:db8:4::1/64" } as const
const far = { 4: "203.0.113.2/24", 6: "2001:db8:4::2/64" } as const

export interface Nested {
  readonly place: Place
  /** Ends the wire and reports what happened on it. */
  stop(): Promise<WireCounts>
}

let namespaces = 0

/** Such a namespace for the tests of the file or `describe` block that calls this. */
export function useNested(guest: () => Guest, options: WireOptions, mtu: number): Nested {
  const namespace = new Namespace(`df-${process.pid}-${++namespaces}-nested`)
  let wire: Wire | undefined
  beforeAll(async () => {
    const outer = ["nsenter", `--net=${guest().path}`]
    await namespace.create()
    await namespace.set({ "net.ipv6.conf.default.accept_dad": 0, "net.ipv4.tcp_no_metrics_save": 1 })
    await namespace.run(["sysctl", "-q", "-w", "net.ipv4.tcp_congestion_control=cubic"])
    wire = await startWire(options, [namespace.path, "eth0"], [guest().path, "wire0"])
    await namespace.configure([
      "link set lo up",
      `link set eth0 mtu ${mtu} txqueuelen 10000 up`,
      `addr add ${far[4]} dev eth0`,
      `addr add ${far[6]} dev eth0 nodad`,
      `route add default via ${near[4].split("/")[0]}`,
      `route add default via ${near[6].split("/")[0]}`,
    ])
    const script = [
      "sysctl -q -w net.ipv4.conf.all.forwarding=1 net.ipv6.conf.all.forwarding=1",
      `ip link set wire0 mtu ${mtu} txqueuelen 10000 up`,
      `ip addr add ${near[4]} dev wire0`,
      `ip addr add ${near[6]} dev wire0 nodad`,
    ].join(" && ")
    const { status, stderr } = await run([...outer, "sh", "-c", script])
    if (status !== 0) throw new Error(stderr)
  })
  afterAll(async () => {
    await wire?.stop()
    await namespace.remove()
  })
  return {
    place: namespace,
    stop() {
      if (wire === undefined) throw new Error("the wire runs only while tests do")
      return wire.stop()
    },
  }
}
