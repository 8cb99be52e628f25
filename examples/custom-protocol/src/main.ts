// A guest speaks a protocol that demiflow has never heard of, and is understood.
import { strict as assert } from "node:assert"
import { build, check, memoryStack, payload } from "@demiflow/testkit"
import { COURIER_PROTOCOL, courier } from "./courier.ts"

const { guest, host, flows, drops, run } = memoryStack([courier()])

// Somebody in the world answers letters.
host.world.receive({ address: "198.51.100.7", port: 7 }, ({ text, reply }) => {
  console.log(`world: got "${text}"`)
  reply(`Dear guest, thank you for "${text}".`)
})

/** A Courier packet: four bytes of ports, then the letter. */
function letter(from: number, to: number, text: string) {
  const header = String.fromCharCode(from >> 8, from & 255, to >> 8, to & 255)
  return payload(header + text)
}

for (const address of ["192.0.2.2", "192.0.2.3"]) {
  guest.send(build.ip(address, "198.51.100.7", 64, COURIER_PROTOCOL), letter(1_000, 7, `news from ${address}`))
  const answer = guest.expect(check.ip({ source: "198.51.100.7", target: address, protocol: COURIER_PROTOCOL }))
  console.log(`guest ${address}: got "${String.fromCharCode(...answer.payload.subarray(4))}"`)
}

console.log(`${flows.size} conversations, each with a socket of its own`)
assert.equal(flows.size, 2)
assert.equal(host.openSockets, 2)

run(60_000)
console.log(`a minute later: ${flows.size} conversations, ${host.openSockets} sockets, ${drops.total} drops`)
assert.equal(flows.size + host.openSockets + drops.total, 0)
