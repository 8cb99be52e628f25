import {
  Address,
  type Components,
  DatagramBatch,
  Demiflow,
  Interface,
  initiatingSide,
  type Listener,
  NOT_MINE,
  type ProtocolPlugin,
  Ruling,
  type Socket,
  SocketEvent,
  socketsAt,
  targetSide,
  Verdict,
} from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { memoryStack } from "../memory-stack.ts"

const splicing = { takesFromHost: true, keepsLoopback: true, isOnly: false }
const rules = { v4: {}, v6: {}, splicing }

/** Accepts at any listener, connects to the policy's target, and carries one piece of data from the initiating end. */
const relay: ProtocolPlugin = (components: Components) => {
  const initiating = new Demiflow()
  const ruling = new Ruling()
  const { target } = ruling
  const accepted = new Map<number, Socket>()
  const at = (listener: Listener) => socketsAt(components, listener.interface)
  return {
    name: "relay",
    claims: [{ ipProtocol: 6 }],
    fromGuest: () => NOT_MINE,
    listen(listener) {
      listener.socket = at(listener)?.tcpListen(listener.ref, listener.end) ?? (-1 as Socket)
      return Math.min(0, listener.socket)
    },
    fromListener(listener) {
      const { flows, handlerNumber, verdicts } = components
      const socket = at(listener)?.tcpAccept(listener.socket, initiating) ?? (-1 as Socket)
      initiating.interface = listener.interface
      if (verdicts.towardsGuest(listener, initiating, ruling) !== Verdict.forward) return
      const initiated = flows.initiate(flows.allocate(handlerNumber, 6), initiating)
      const flow = flows.activate(flows.target(initiated, target))
      socketsAt(components, target.interface)?.tcpConnect(targetSide(flow), target)
      at(listener)?.watch(socket, initiatingSide(flow))
      accepted.set(initiatingSide(flow), socket)
    },
    fromHost(side, events) {
      const socket = accepted.get(side)
      const { pipes } = components.localPath ?? {}
      if (socket === undefined || pipes === undefined || (events & SocketEvent.readable) === 0) return
      const pipe = pipes.open()
      pipes.drain(pipe, socket, pipes.fill(pipe, socket))
    },
  }
}

describe.each([
  ["IPv4", "127.0.0.1"],
  ["IPv6", "::1"],
])("a local path in memory, over %s", (_, loopback) => {
  it.each([
    ["host", Interface.host],
    ["namespace", Interface.splice],
  ] as const)("leads from loopback to loopback, from the %s on", (name, place) => {
    const memory = memoryStack([relay], { rules, localPath: true })
    const { sockets, namespace, stack, run, leftovers } = memory
    const [near, far] = name === "host" ? [sockets, namespace] : [namespace, sockets]
    const end = { address: Address.parse(loopback), port: 80, interfaceName: undefined, freebind: false }
    expect(stack.listen(6, end, undefined, 8_080, place)).toBeGreaterThanOrEqual(0)
    const server = far.world.listen({ address: loopback, port: 8_080 })
    const connection = near.world.connect({ address: loopback, port: 5_000 }, { address: loopback, port: 80 })
    connection.write("there and back")
    run()
    expect(connection.isConnected).toBe(true)
    expect(`${server.connection.hostAddress}`).toBe(loopback)
    expect(connection.receivedText).toBe("there and back")
    expect(leftovers().sort()).toEqual([
      "1 flows are left",
      "1 sockets are open",
      "1 sockets are open in the namespace",
    ])
  })

  it("has its sockets hear datagrams from loopback to loopback, at both ends", () => {
    const { sockets, namespace, arena, run, leftovers } = memoryStack([], { rules, localPath: true })
    expect(namespace.arena).toBe(arena)
    const batch = new DatagramBatch(2)
    batch.offset.fill(arena.reserve(64))
    for (const at of [sockets, namespace]) {
      const ends = Demiflow.of(Interface.host, Address.parse(loopback), 53, Address.parse(loopback), 5_000)
      const socket = at.udpBind(0 as never, ends)
      const answers: string[] = []
      at.world.receive({ address: loopback, port: 5_000 }, ({ text }) => answers.push(text))
      at.world.send({ address: loopback, port: 5_000 }, { address: loopback, port: 53 }, "content")
      run()
      batch.length.fill(64)
      expect(at.receiveFromAnyone(socket, batch, [new Demiflow(), new Demiflow()], 2)).toBe(1)
      at.sendDatagramsTo(socket, ends, 0, batch, 0, 1)
      run()
      expect(answers).toEqual(["content"])
      at.close(socket)
    }
    expect(leftovers()).toEqual([])
  })
})

describe("a namespace in memory", () => {
  it("has the guest's addresses, and connects from its global one", () => {
    const { namespace } = memoryStack([], { localPath: true })
    const own = new Demiflow()
    for (const [to, from] of [
      ["198.51.100.7", "192.0.2.2"],
      ["2001:db8:1::7", "2001:db8::2"],
    ]) {
      const towards = new Demiflow()
      towards.correspondentAddress.copyFrom(Address.parse(to))
      if (towards.isV4) towards.forwardingAddress.copyFrom(Address.parse("0.0.0.0"))
      towards.correspondentPort = 9
      namespace.boundEnd(namespace.udpOpen(0 as never, towards), own)
      expect(`${own.forwardingAddress}`).toBe(from)
    }
  })

  it("has sockets of its own: those of the host are not known there", () => {
    const { sockets, namespace, leftovers } = memoryStack([], { localPath: true })
    const towards = Demiflow.of(Interface.host, Address.parse("0.0.0.0"), 0, Address.parse("198.51.100.7"), 9)
    const socket = sockets.udpOpen(0 as never, towards)
    namespace.close(socket)
    sockets.close(socket)
    namespace.close(namespace.udpOpen(0 as never, towards))
    expect(leftovers()).toEqual([`close(${socket}): the socket is not open`])
  })

  it("is not there unless it is asked for", () => {
    const memory = memoryStack([])
    expect(memory.localPath).toBeUndefined()
    expect(() => memory.namespace).toThrow("without a local path")
  })
})
