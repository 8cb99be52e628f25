/**
 * A program for any runtime: a guest behind a gateway exchanges with servers of another process. It ends with one line
 * for what it has seen, or throws.
 */
import { createHash } from "node:crypto"
import { build, type GuestConnection, patternBytes, payload } from "@demiflow/testkit"
import { GATEWAY, GATEWAY_V6, GUEST, TestGuest } from "./test-support.ts"

/** Servers on the host's loopback. */
interface Servers {
  /** Sends this number of bytes, their hash, and the hash of what it has received, once that has ended. */
  readonly exchange: number
  readonly bytes: number
  readonly reset: number
  readonly closed: number
  readonly udp: number
}

const servers: Servers = JSON.parse(process.argv[2] ?? "")
const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`It does not hold that ${what}`)
}

async function exchange(guest: TestGuest, address: string): Promise<void> {
  const content = patternBytes(servers.bytes, address.length)
  const connection = connect(guest, address, servers.exchange)
  connection.write(content)
  connection.end()
  await guest.until(() => connection.isEnded)
  const hashes = new TextDecoder().decode(connection.received.subarray(servers.bytes))
  const own = hashOf(connection.received.subarray(0, servers.bytes)) + hashOf(content)
  check(hashes === own, `${servers.bytes} bytes arrive each way by ${address}`)
}

const connect = (guest: TestGuest, address: string, port: number): GuestConnection =>
  guest.tcp.connect({ address, port, receiveBuffer: 1 << 20, windowScale: 7 })

const isNode = !("Bun" in globalThis) && !("Deno" in globalThis)
if (!isNode) {
  const error = await TestGuest.open({ socketsKind: "sys" }).catch((reason) => reason)
  check(error.code === "ERR_GATEWAY_SOCKETS", `sys is refused, rather than ${error}`)
}
const guest = await TestGuest.open(isNode ? { socketsKind: "node" } : {})
check(guest.gateway.socketsKind === "node", "the gateway uses sockets of Node.js")
for (const address of [GATEWAY, GATEWAY_V6]) await exchange(guest, address)
for (const address of [GATEWAY, GATEWAY_V6]) {
  const refused = connect(guest, address, servers.closed)
  await guest.until(() => refused.failure)
  check(refused.failure === "refused", `a closed port of ${address} refuses, rather than ${refused.failure}`)
}
const reset = connect(guest, GATEWAY, servers.reset)
await guest.until(() => reset.receivedText === "hello")
reset.write("go away")
await guest.until(() => reset.failure)
check(reset.failure === "reset" && !reset.isEnded, `a reset arrives as one, rather than ${reset.failure}`)
guest.guest.send(build.ip(GUEST, GATEWAY), build.udp({ sourcePort: 4_000, targetPort: servers.udp }), payload("hello"))
const answer = await guest.frame((frame) => frame.udp !== undefined)
check(new TextDecoder().decode(answer.payload) === "hello to you", "a datagram is answered")
guest.gateway.close()
console.log("all of it holds")
