import { setTimeout } from "node:timers/promises"
import type { ListenerRef, SideRef } from "@demiflow/core"
import type { KitSockets } from "@demiflow/sockets-kit"
import type { SocketsUnderTest } from "@demiflow/testkit/compliance"
import { Client, freePorts, listen, loopback, openUdp } from "./test-support.ts"

/**
 * Sockets whose correspondents are other sockets of this process, on loopback.
 *
 * @param closed called at the end
 */
export async function onLoopback(sockets: KitSockets, closed: () => void = () => {}): Promise<SocketsUnderTest> {
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
      closed()
    },
  }
}
