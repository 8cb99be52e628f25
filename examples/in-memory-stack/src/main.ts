// An HTTP exchange through a whole stack in memory: no kernel, no native code, no privileges, no real time.
import { strict as assert } from "node:assert"
import { tcp } from "@demiflow/tcp"
import { GuestTcp, memoryStack } from "@demiflow/testkit"

// The set-up: a stack with one protocol, a guest at one end, a host at the other.
const { guest, sockets, run, clock, leftovers } = memoryStack([tcp()], { sockets: { rtt: 20 } })
const { world } = sockets

// A server somewhere in the world. The host reaches it through an ordinary (simulated) socket.
world.listen({ address: "198.51.100.7", port: 80 }, (connection) => {
  console.log(`server: connection from ${connection.hostAddress}`)
  connection.onData = () => {
    if (!connection.receivedText.endsWith("\r\n\r\n")) return
    console.log(`server: ${connection.receivedText.split("\r\n")[0]}`)
    const page = "Hello, guest.\n"
    connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${page.length}\r\nConnection: close\r\n\r\n${page}`)
    connection.end()
  }
})

// A client in the guest, over its own TCP: Ethernet frames pass the link.
const client = new GuestTcp(guest).connect({ address: "198.51.100.7", port: 80 })
client.write("GET / HTTP/1.1\r\nHost: 198.51.100.7\r\n\r\n")
client.onEnd = () => client.end()

const began = clock.now
run(5_000)

const [head, page] = client.receivedText.split("\r\n\r\n")
console.log(`client: ${head.split("\r\n")[0]}`)
console.log(`client: ${page.trim()}`)
console.log(`${guest.received} frames reached the guest; ${clock.now - began} ms passed in no time`)

assert.equal(page, "Hello, guest.\n")
assert.deepEqual(leftovers(), [], "the flow and its socket are gone")
