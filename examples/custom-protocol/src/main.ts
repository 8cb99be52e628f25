// A guest speaks a protocol that demiflow does not know, through a plug-in.
import { strict as assert } from "node:assert"
import { build, check, memoryStack, payload } from "@demiflow/testkit"
import { COURIER_PROTOCOL, courier } from "./courier.ts"

const { guest, sockets, flows, drops, run } = memoryStack([courier()])
const GUEST = "192.0.2.2"
const correspondents = ["198.51.100.7", "198.51.100.8"]

// They answer letters.
for (const address of correspondents) {
  sockets.world.receive({ address, port: 7 }, ({ text, hostPort, reply }) => {
    console.log(`${address}: got "${text}" from port ${hostPort}`)
    reply(`Dear guest, thank you for "${text}".`)
  })
}

/** A Courier packet: four bytes of ports, then the letter. */
function letter(from: number, to: number, text: string) {
  const header = String.fromCharCode(from >> 8, from & 255, to >> 8, to & 255)
  return payload(header + text)
}

for (const address of correspondents) {
  guest.send(build.ip(GUEST, address, 64, COURIER_PROTOCOL), letter(1_000, 7, `news for ${address}`))
  const answer = guest.expect(check.ip({ source: address, target: GUEST, protocol: COURIER_PROTOCOL }))
  console.log(`guest: got "${String.fromCharCode(...answer.payload.subarray(4))}"`)
}

console.log(`${flows.size} conversations, which share ${sockets.openSockets} socket`)
assert.equal(flows.size, 2)
assert.equal(sockets.openSockets, 1)

run(60_000)
console.log(`a minute later: ${flows.size} conversations, ${sockets.openSockets} sockets, ${drops.total} drops`)
assert.equal(flows.size + sockets.openSockets + drops.total, 0)
