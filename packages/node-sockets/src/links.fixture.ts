/**
 * A program for a network namespace with two links, each with both of its ends here, and an interface that is down. It
 * prints what has happened, a line each. The sockets are on one0 and two0, the correspondents on one1 and two1.
 */
import { createSocket, type Socket as NodeDatagrams } from "node:dgram"
import { once } from "node:events"
import { connect, createServer } from "node:net"
import { setTimeout } from "node:timers/promises"
import {
  Address,
  Arena,
  DatagramBatch,
  Demiflow,
  Interface,
  type ListenerRef,
  type ListeningEnd,
  type SideRef,
  type Socket,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { NodeLoop } from "./node-loop.ts"
import { NodeSockets } from "./node-sockets.ts"

const SIDE = 2 as SideRef
const LISTENER = 0 as ListenerRef
const PORT = 7_000
const arena = new Arena(1 << 20)
const place = arena.reserve(2_048)
const batch = new DatagramBatch(1)
const sockets = new NodeSockets(arena, new NodeLoop(), { linkLocalInterface: "one0" })
sockets.deliverTo({ fromHost() {}, fromListener() {} })

const towards = (address: string, port: number) =>
  Demiflow.of(Interface.host, UNSPECIFIED_V6 as Address, 0, Address.parse(address), port)

const listeningEnd = (address: string | undefined, port = PORT): ListeningEnd => ({
  address: address === undefined ? undefined : Address.parse(address),
  port,
  interfaceName: undefined,
  freebind: false,
})

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(1)
}

/** A correspondent that returns what it gets. */
async function echo(address: string): Promise<NodeDatagrams> {
  const socket = createSocket("udp6").bind(PORT, address)
  socket.on("message", (text, sender) => socket.send(text, sender.port, sender.address))
  await once(socket, "listening")
  return socket
}

function fill(text: string): DatagramBatch {
  batch.offset[0] = place
  batch.length[0] = arena.bytes.set(new TextEncoder().encode(text), place) ?? text.length
  batch.segmentSize[0] = 0
  return batch
}

/** Waits for a datagram. Returns its text, its sender and its scope. */
async function receive(socket: Socket, ends: Demiflow[]): Promise<string> {
  await until(() => {
    batch.offset[0] = place
    batch.length[0] = 2_048
    return sockets.receiveFromAnyone(socket, batch, ends, 1) === 1
  })
  const text = new TextDecoder().decode(arena.bytes.subarray(place, place + batch.length[0]))
  return `${text} ${ends[0].correspondentAddress} ${batch.scope[0] === 0 ? "usual" : "other"}`
}

async function askEach(): Promise<void> {
  const echoes = [await echo("fe80::2%one1"), await echo("fe80::4%two1")]
  const ends = [new Demiflow(Interface.host)]
  const bound = sockets.udpBind(SIDE, towards("fe80::2", PORT))
  sockets.sendDatagramsTo(bound, towards("fe80::2", PORT), 0, fill("bound"), 0, 1)
  console.log(await receive(bound, ends))
  sockets.close(bound)
  const opened = sockets.udpOpen(SIDE, towards("fe80::2", PORT))
  sockets.sendDatagrams(opened, fill("opened"), 0, 1)
  console.log(await receive(opened, ends))
  sockets.close(opened)
  for (const socket of echoes) socket.close()
}

async function answerEach(): Promise<void> {
  const listening = sockets.udpListen(LISTENER, listeningEnd(undefined))
  for (const link of ["one", "two"]) {
    const client = createSocket("udp6")
    client.send(`by ${link}`, PORT, link === "one" ? "fe80::1%one1" : "fe80::3%two1")
    const ends = [new Demiflow(Interface.host)]
    console.log(await receive(listening, ends))
    sockets.sendDatagramsTo(listening, ends[0], batch.scope[0], fill("an answer"), 0, 1)
    const [text, { address }] = await once(client, "message")
    console.log(`${text} from ${address}`)
    client.close()
  }
  sockets.close(listening)
}

async function connectEach(): Promise<void> {
  const server = createServer((socket) => socket.on("error", () => {}).end("served")).listen(PORT, "fe80::2%one1")
  await once(server, "listening")
  const connection = sockets.tcpConnect(SIDE, towards("fe80::2", PORT))
  await until(() => sockets.unread(connection) === 6)
  console.log("connected to fe80::2")
  sockets.close(connection)
  server.close()
  for (const [address, from] of [
    ["fe80::1", "fe80::1%one1"],
    ["192.0.2.9", "192.0.2.9"],
    ["2001:db8:9::9", "2001:db8:9::9"],
  ]) {
    const listening = sockets.tcpListen(LISTENER, listeningEnd(address))
    const client = connect(PORT, from)
    await once(client, "connect")
    await until(() => sockets.connectionsWaiting(listening) === 1)
    console.log(`connected from outside to ${address}`)
    client.on("error", () => {})
    sockets.close(listening)
    const datagrams = sockets.udpListen(LISTENER, listeningEnd(address))
    console.log(datagrams >= 0 ? "and datagrams" : datagrams)
    sockets.close(datagrams)
  }
}

await askEach()
await answerEach()
await connectEach()
for (const address of ["203.0.113.1", "2001:db8:ffff::1"]) {
  const end = listeningEnd(address)
  console.log(sockets.tcpListen(LISTENER, end), sockets.udpListen(LISTENER, end))
}
process.exit()
