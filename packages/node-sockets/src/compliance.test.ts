import { setTimeout } from "node:timers/promises"
import { Arena, type ListenerRef, type SideRef } from "@demiflow/core"
import { type SocketsUnderTest, socketsCompliance } from "@demiflow/testkit/compliance"
import { NODE_CAPABILITIES } from "./capabilities.ts"
import { NodeLoop } from "./node-loop.ts"
import { NodeSockets } from "./node-sockets.ts"
import { Client, freePorts, listen, loopback, openUdp } from "./test-support.ts"

/** The suite that every host passes: correspondents are other sockets of this process, on loopback. */

async function setup(): Promise<SocketsUnderTest> {
  const arena = new Arena(8 << 20)
  const sockets = new NodeSockets(arena, new NodeLoop())
  const sides = new Map<SideRef, number>()
  const listeners = new Map<ListenerRef, number>()
  sockets.deliverTo({
    fromHost: (side, events) => sides.set(side, (sides.get(side) ?? 0) | events),
    fromListener: (listener, events) => listeners.set(listener, (listeners.get(listener) ?? 0) | events),
  })
  const ports = await freePorts(80)
  const clients: Client[] = []
  const nextPort = (): number => {
    const port = ports.pop()
    if (port === undefined) throw new Error("More free ports are needed")
    return port
  }
  return {
    sockets,
    async turn(deliver, deliverToListener) {
      await setTimeout(1)
      for (const [side, events] of sides) deliver(side, events)
      sides.clear()
      for (const [listener, events] of listeners) deliverToListener(listener, events)
      listeners.clear()
    },
    listen,
    openUdp,
    unusedEnd: (isV4) => ({ address: loopback(isV4), port: nextPort() }),
    ownEnd: (isV4) => ({ address: loopback(isV4), port: nextPort() }),
    connect(end) {
      const client = new Client(end)
      clients.push(client)
      return client
    },
    close() {
      for (const { socket } of clients) socket.destroy()
      sockets.deliverTo(undefined)
    },
  }
}

socketsCompliance(setup, { capabilities: NODE_CAPABILITIES })
