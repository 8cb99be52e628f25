// Two guests, each with a stack of its own, on one event loop. One is closed, and the other goes on.
import { strict as assert } from "node:assert"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { readdirSync } from "node:fs"
import { Arena } from "@demiflow/core"
import { stackArenaBytes } from "@demiflow/stack"
import { attachArena, EventLoop, LINUX_SOCKETS_ARENA_BYTES } from "@demiflow/sys"
import { Guest, plugins } from "./guest.ts"

const LINK_BYTES = 8 << 20
const arena = new Arena(2 * (stackArenaBytes({ plugins }) + LINUX_SOCKETS_ARENA_BYTES + LINK_BYTES))
const native = attachArena(arena)
const loop = new EventLoop(native, arena)

const server = createSocket("udp4").bind(0, "127.0.0.1")
await once(server, "listening")
const { port } = server.address()
server.on("message", (text, { address, port }) => server.send(`${text} to you`, port, address))

console.log(`the server has port ${port}`)
const descriptors = () => readdirSync("/proc/self/fd").length
const before = descriptors()
const running = loop.run()
const [first, second] = [new Guest(native, arena, loop), new Guest(native, arena, loop)]
console.log(`first: ${await first.ask(port, "hello")}`)
console.log(`second: ${await second.ask(port, "good day")}`)
first.close()
console.log("first is closed")
console.log(`second: ${await second.ask(port, "hello again")}`)
second.close()
assert.equal(descriptors(), before, "each socket is closed")

loop.stop()
await running
loop.close()
server.close()
