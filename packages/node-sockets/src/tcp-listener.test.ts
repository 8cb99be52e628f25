import { once } from "node:events"
import { connect } from "node:net"
import { setTimeout } from "node:timers/promises"
import { Arena, Demiflow, Errno, Interface, type ListenerRef, LOOPBACK_V4, type Socket } from "@demiflow/core"
import { expect, test } from "vitest"
import { NodeLoop } from "./node-loop.ts"
import { NodeSockets } from "./node-sockets.ts"
import { freePorts } from "./test-support.ts"

test("a connection that was reset while it waited isn't accepted", async () => {
  const sockets = new NodeSockets(new Arena(1 << 16), new NodeLoop())
  const [port] = await freePorts(1)
  const address = LOOPBACK_V4.clone()
  const end = { interface: Interface.host, address, port, interfaceName: undefined, freebind: false }
  const listening = sockets.tcpListen(0 as ListenerRef, end)
  const ports: (number | undefined)[] = []
  const open = async (isReset: boolean) => {
    const client = connect(port, "127.0.0.1")
    await once(client, "connect")
    ports.push(client.localPort)
    while (sockets.connectionsWaiting(listening) < ports.length) await setTimeout(1)
    if (isReset) await once(client.resetAndDestroy(), "close")
    return client
  }
  await open(true)
  const stays = await open(false)
  const demiflow = new Demiflow(Interface.host)
  const accepted = sockets.tcpAccept(listening, demiflow)
  expect(accepted).toBeGreaterThanOrEqual(0)
  expect(demiflow.correspondentPort).toBe(ports[1])
  expect(sockets.tcpAccept(listening, demiflow)).toBe(-Errno.EAGAIN)
  for (const socket of [accepted, listening] as Socket[]) sockets.close(socket)
  stays.destroy()
})
