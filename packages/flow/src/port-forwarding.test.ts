import { Errno, Interface, type InterfaceId, IpProtocol, type ListenerRef, type ListeningEnd } from "@demiflow/core"
import { describe, expect, it } from "vitest"
import type { ForwardingRule } from "./forwarding-rule.ts"
import { PortForwarding } from "./port-forwarding.ts"

/** A stack that listens on every port except those in use, and records where each leads. */
function setUp(...inUse: number[]) {
  const open = new Map<ListenerRef, string>()
  let count = 0
  const places: (number | undefined)[] = []
  const ofFlows: number[] = []
  const refusal: { errno: number } = { errno: Errno.EADDRINUSE }
  const stack = {
    listen(protocol: number, end: ListeningEnd, _address: unknown, targetPort: number, place?: number): ListenerRef {
      if (inUse.includes(end.port)) return -refusal.errno as ListenerRef
      places.push(place)
      const ref = count++ as ListenerRef
      open.set(ref, `${protocol} ${end.port} → ${targetPort}`)
      return ref
    },
    unlisten(ref: ListenerRef): void {
      open.delete(ref)
    },
    portsInUse: (protocol: number, place: InterfaceId): number[] =>
      protocol === IpProtocol.udp && place === Interface.host ? ofFlows : [],
  }
  return { forwarding: new PortForwarding(stack), listening: () => [...open.values()], inUse, places, ofFlows, refusal }
}

function rule(fields: Partial<ForwardingRule>): ForwardingRule {
  return {
    interface: Interface.host,
    protocol: IpProtocol.tcp,
    address: undefined,
    interfaceName: undefined,
    firstPort: 8000,
    lastPort: 8002,
    targetAddress: undefined,
    firstTargetPort: 80,
    isBestEffort: false,
    isAuto: false,
    freebind: false,
    ...fields,
  }
}

describe("PortForwarding", () => {
  it("listens where the ports of a rule are", () => {
    const { forwarding, places } = setUp()
    for (const place of [Interface.host, Interface.splice]) {
      forwarding.add(rule({ interface: place, firstPort: 8000 + place, lastPort: 8000 + place }))
    }
    expect(places).toEqual([Interface.host, Interface.splice])
  })

  it("listens at each port of a range, and says where it leads", () => {
    const { forwarding, listening } = setUp()
    expect(forwarding.add(rule({}))).toEqual({ opened: 3, failure: undefined })
    expect(listening()).toEqual(["6 8000 → 80", "6 8001 → 81", "6 8002 → 82"])
  })

  it("adds nothing if a port can't be opened, and names it", () => {
    const { forwarding, listening } = setUp(8001)
    const failure = { port: 8001, errno: Errno.EADDRINUSE }
    expect(forwarding.add(rule({}))).toEqual({ opened: 0, failure })
    expect(listening()).toEqual([])
    expect(forwarding.rules).toEqual([])
  })

  it("passes over ports that can't be opened where that is good enough", () => {
    const { forwarding, listening } = setUp(8001)
    const failure = { port: 8001, errno: Errno.EADDRINUSE }
    expect(forwarding.add(rule({ isBestEffort: true }))).toEqual({ opened: 2, failure })
    expect(listening()).toEqual(["6 8000 → 80", "6 8002 → 82"])
  })

  it("doesn't pass over ports for which there is no descriptor: the others would have none for connections", () => {
    let left = 2
    const closed: ListenerRef[] = []
    const forwarding = new PortForwarding({
      listen: () => (left > 0 ? left-- : -Errno.EMFILE) as ListenerRef,
      unlisten: (ref) => closed.push(ref),
      portsInUse: () => [],
    })
    const failure = { port: 8002, errno: Errno.EMFILE }
    expect(forwarding.add(rule({ isBestEffort: true }))).toEqual({ opened: 0, failure })
    expect(closed).toEqual([2, 1])
  })

  it("changes while it is in use: rules come and go, one by one", () => {
    const { forwarding, listening } = setUp()
    const web = rule({ lastPort: 8000 })
    const names = rule({ protocol: IpProtocol.udp, firstPort: 53, lastPort: 53, firstTargetPort: 53 })
    forwarding.add(web)
    forwarding.add(names)
    expect(forwarding.rules).toEqual([web, names])
    expect(forwarding.remove(web)).toBe(true)
    expect(forwarding.remove(web)).toBe(false)
    expect(listening()).toEqual(["17 53 → 53"])
    forwarding.add(web)
    expect(listening()).toHaveLength(2)
  })
})

describe("a rule that follows what is bound", () => {
  const { host, splice } = Interface
  const bound = (...ports: number[]) => {
    return () => ports
  }

  it("opens ports as they are bound at the other end, and closes them when they are let go", () => {
    const { forwarding, listening } = setUp()
    const range = { firstPort: 1, lastPort: 32767, firstTargetPort: 1, isBestEffort: true }
    expect(forwarding.add(rule({ ...range, isAuto: true }))).toEqual({ opened: 0, failure: undefined })
    forwarding.follow(host, bound(80, 443, 40000))
    expect(listening()).toEqual(["6 80 → 80", "6 443 → 443"])
    forwarding.follow(host, bound(443, 8080))
    expect(listening()).toEqual(["6 443 → 443", "6 8080 → 8080"])
    forwarding.follow(host, bound())
    expect(listening()).toEqual([])
  })

  it("keeps ports of UDP open whose server has connected its socket to a client, and opens none for it", () => {
    const { forwarding, listening } = setUp()
    forwarding.add(rule({ protocol: IpProtocol.udp, isAuto: true }))
    forwarding.follow(host, bound(80), bound(81))
    expect(listening()).toEqual(["17 8000 → 80"])
    forwarding.follow(host, bound(), bound(80, 81))
    expect(listening()).toEqual(["17 8000 → 80"])
    forwarding.follow(host, bound(), bound(81))
    expect(listening()).toEqual([])
  })

  it("goes by the target's port where ports are mapped", () => {
    const { forwarding, listening } = setUp()
    forwarding.add(rule({ isAuto: true }))
    forwarding.follow(host, bound(79, 81, 83, 8000))
    expect(listening()).toEqual(["6 8001 → 81"])
  })

  it("leaves the other rules alone, and those of the other end", () => {
    const { forwarding, listening } = setUp()
    forwarding.add(rule({ lastPort: 8000 }))
    forwarding.add(rule({ isAuto: true, interface: splice, firstPort: 22, lastPort: 22, firstTargetPort: 22 }))
    forwarding.follow(host, bound(22))
    expect(listening()).toEqual(["6 8000 → 80"])
    forwarding.follow(splice, bound(22))
    expect(listening()).toEqual(["6 8000 → 80", "6 22 → 22"])
  })

  it("does not follow ports that flows of its own stack have", () => {
    const { forwarding, listening, ofFlows } = setUp()
    const range = { firstPort: 80, lastPort: 90, firstTargetPort: 80, isAuto: true }
    forwarding.add(rule({ ...range, interface: splice, protocol: IpProtocol.udp }))
    ofFlows.push(81)
    forwarding.follow(splice, bound(80, 81))
    expect(listening()).toEqual(["17 80 → 80"])
  })

  describe("for UDP, also follows TCP", () => {
    const { tcp, udp } = IpProtocol
    const ports = { firstPort: 1, lastPort: 32767, firstTargetPort: 1, isAuto: true }
    const boundTo =
      (tcpPorts: number[], udpPorts: number[] = []) =>
      (protocol: number) =>
        protocol === tcp ? tcpPorts : udpPorts

    it("where TCP is forwarded, without translation", () => {
      const { forwarding, listening } = setUp()
      forwarding.add(rule({ protocol: udp, ...ports }))
      forwarding.follow(host, boundTo([5201], [53]))
      expect(listening()).toEqual(["17 53 → 53"])
      forwarding.add(rule({ firstPort: 6000, lastPort: 6000, firstTargetPort: 5201 }))
      forwarding.follow(host, boundTo([5201, 80], [53]))
      expect(listening()).toEqual(["17 53 → 53", "6 6000 → 5201", "17 5201 → 5201"])
      forwarding.follow(host, boundTo([], []))
      expect(listening()).toEqual(["6 6000 → 5201"])
    })

    it("but not the ports that the table itself has bound at the other end, for either protocol", () => {
      const { forwarding, listening } = setUp()
      forwarding.add(rule({ protocol: udp, ...ports }))
      forwarding.add(rule({ protocol: tcp, ...ports }))
      forwarding.add(rule({ interface: splice, firstPort: 9000, lastPort: 9000, firstTargetPort: 9001 }))
      forwarding.add(rule({ interface: splice, protocol: udp, firstPort: 9100, lastPort: 9100, firstTargetPort: 9100 }))
      forwarding.follow(host, boundTo([9000, 9100], [9100]))
      expect(listening()).toEqual(["6 9000 → 9001", "17 9100 → 9100", "6 9100 → 9100"])
    })
  })

  it("isn't misled by what the table itself has bound at the other end", () => {
    const { forwarding, listening } = setUp()
    const ports = { firstPort: 1, lastPort: 32767, firstTargetPort: 1, isAuto: true }
    forwarding.add(rule({ ...ports, interface: host }))
    forwarding.add(rule({ ...ports, interface: splice }))
    forwarding.follow(splice, bound(80))
    forwarding.follow(host, bound(80))
    expect(listening()).toEqual(["6 80 → 80"])
  })

  it("stops, and says so, when there is no descriptor for a port, and goes on later", () => {
    const { forwarding, listening, inUse, refusal } = setUp(81, 82)
    forwarding.add(rule({ firstPort: 80, lastPort: 90, firstTargetPort: 80, isAuto: true }))
    expect(forwarding.follow(host, bound(80, 81, 82, 83))).toBe(false)
    expect(listening()).toEqual(["6 80 → 80", "6 83 → 83"])
    refusal.errno = Errno.EMFILE
    forwarding.follow(host, bound())
    expect(forwarding.follow(host, bound(80, 81, 82, 83))).toBe(true)
    expect(listening()).toEqual(["6 80 → 80"])
    inUse.length = 0
    expect(forwarding.follow(host, bound(80, 81, 82, 83))).toBe(false)
    expect(listening()).toEqual(["6 80 → 80", "6 81 → 81", "6 82 → 82", "6 83 → 83"])
  })

  it("tries again what it could not have", () => {
    const { forwarding, listening, inUse } = setUp(80)
    forwarding.add(rule({ firstPort: 80, lastPort: 90, firstTargetPort: 80, isAuto: true }))
    forwarding.follow(host, bound(80, 81))
    expect(listening()).toEqual(["6 81 → 81"])
    inUse.length = 0
    forwarding.follow(host, bound(80, 81))
    expect(listening()).toEqual(["6 81 → 81", "6 80 → 80"])
  })
})
