// A guest in this program sends a datagram to a server on the host's loopback, through a whole stack.
import { strict as assert } from "node:assert"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { build, buildPacket, LinkEnd, parseFrame, payload } from "@demiflow/testkit"
import { GATEWAY, guestEnd, loop, stack } from "./stack.ts"

const server = createSocket("udp4").bind(0, "127.0.0.1")
await once(server, "listening")
server.on("message", (text, { address, port }) => {
  console.log(`server: "${text}" from ${address}`)
  server.send(`${text}, guest`, port, address)
})

const guest = new LinkEnd(guestEnd)
const answer = new Promise<string>((resolve) => {
  guestEnd.onReadable = () => {
    for (const { bytes } of guest.receive()) {
      const packet = parseFrame(bytes)
      assert.deepEqual(packet.problems, [])
      if (packet.udp === undefined) continue
      resolve(new TextDecoder().decode(packet.payload))
      // The loop would block before the code that awaits this.
      loop.requestTurn()
    }
  }
})
const running = loop.run()
guest.send({
  bytes: buildPacket(
    build.ethernet({ source: "02:00:00:00:00:02", target: "9a:55:9a:55:9a:55" }),
    build.ip("192.0.2.2", GATEWAY.toString()),
    build.udp({ sourcePort: 40_000, targetPort: server.address().port }),
    payload("hello"),
  ),
})
console.log(`guest: "${await answer}"`)

loop.stop()
await running
stack.close()
loop.close()
server.close()
