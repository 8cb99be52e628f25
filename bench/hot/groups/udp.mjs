// Datagrams of an existing flow, from the guest's frames to calls of the socket and back, events included.

import { build, buildPacket } from "@demiflow/testkit"
import { udp } from "@demiflow/udp"
import { offloads, QuietLink } from "../quiet-link.mjs"
import { QuietStack } from "../quiet-stack.mjs"

const PAYLOAD = 1_400

/** @param {4 | 6} version @param {number} payload */
function frame(version, payload) {
  const [from, to] = version === 4 ? ["192.0.2.2", "198.51.100.7"] : ["2001:db8::2", "2001:db8:1::7"]
  const ethernet = build.ethernet({ source: "02:00:00:00:00:02" })
  const header = build.udp({ sourcePort: 40_000, targetPort: 53 })
  return buildPacket(ethernet, build.ip(from, to), header, build.patternPayload(payload))
}

/**
 * @param {string} name
 * @param {4 | 6} version
 * @param {number} payload
 * @param {number} up Datagrams of the guest in a turn, in one sequence.
 * @param {number} down Datagrams for the guest, reported by an event.
 * @returns {import("../measure.mjs").HotFunction}
 */
function flow(name, version, payload, up, down) {
  const link = new QuietLink(offloads)
  const stack = new QuietStack(link, udp())
  stack.host.datagramBytes = payload
  link.give(Array.from({ length: Math.max(up, 1) }, () => frame(version, payload)))
  link.waiting = 1
  stack.turn(0)
  const work = () => {
    link.waiting = up
    if (up > 0) stack.turn(0)
    if (down > 0) stack.arrive(down)
    return stack.host.taken + link.sentBytes
  }
  work()
  stack.check(name)
  const isExchange = up > 0 && down > 0
  const unit = isExchange ? "exchange" : "datagram"
  return { name: `UDP, ${name}`, unit, units: isExchange ? 1 : up + down, work }
}

/** @returns {import("../measure.mjs").HotFunction[]} */
export function functions() {
  return [
    flow("from the guest", 4, PAYLOAD, 16, 0),
    flow("from the guest, IPv6", 6, PAYLOAD, 16, 0),
    flow("to the guest", 4, PAYLOAD, 0, 16),
    flow("to the guest, IPv6", 6, PAYLOAD, 0, 16),
    flow("request and response", 4, 1, 1, 1),
  ]
}
