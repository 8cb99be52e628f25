// An established connection, from the guest's frames to calls of the socket and back, events included.
import { SocketEvent } from "@demiflow/core"
import { attachArena } from "@demiflow/sys"
import { tcp } from "@demiflow/tcp"
import { build, buildPacket } from "@demiflow/testkit"
import { offloads, plain, QuietLink } from "../quiet-link.mjs"
import { QuietStack } from "../quiet-stack.mjs"

const ETHERNET = 14
/** In the frame. */
const IPV4_LENGTH = 16
const IPV6_LENGTH = 18
const IPV6_HEADER = 40
const SEQUENCE = 4
const ACKNOWLEDGEMENT = 8
const FLAGS = 13
const SYN = 2
const HEADER = 20
const HOLD_POOL_BYTES = 1 << 20

/** @typedef {import("../measure.mjs").HotFunction} HotFunction */

/**
 * @typedef {object} Turn
 * @property {4 | 6} version
 * @property {number} segments From the guest, in one sequence; each acknowledges everything that it has received.
 * @property {number} payload Bytes of each.
 * @property {number} answer Bytes that the socket has for the guest, reported by an event.
 */

/** The guest's end: sequence numbers in its frames, and in those that it receives. */
class Guest {
  /** The next number. */
  number = 1_000
  /** Everything before this number was sent to the guest. */
  reached = 0
  #transport
  #link

  /** @param {QuietLink} link @param {4 | 6} version */
  constructor(link, version) {
    this.#link = link
    this.#transport = version === 4 ? 34 : 54
    link.onSent = (frame) => {
      const header = frame + this.#transport
      const { view } = link.arena
      const isSyn = (view.getUint8(header + FLAGS) & SYN) !== 0
      // Short frames are padded.
      const packet =
        version === 4 ? view.getUint16(frame + IPV4_LENGTH) : IPV6_HEADER + view.getUint16(frame + IPV6_LENGTH)
      const payload = ETHERNET + packet - this.#transport - HEADER
      const reached = (view.getInt32(header + SEQUENCE) + (isSyn ? 1 : payload)) | 0
      if (isSyn || ((reached - this.reached) | 0) > 0) this.reached = reached
    }
  }

  /** Sends its frames with the numbers that are next. @param {number} payload */
  send(payload) {
    const { offsets, arena } = this.#link
    for (let index = 0; index < offsets.length; index++) {
      const header = offsets[index] + this.#transport
      arena.view.setInt32(header + SEQUENCE, this.number)
      arena.view.setInt32(header + ACKNOWLEDGEMENT, this.reached)
      this.number = (this.number + payload) | 0
    }
    this.#link.waiting = offsets.length
  }
}

/** @param {4 | 6} version @param {string} flags @param {number} payload */
function frame(version, flags, payload) {
  const [from, to] = version === 4 ? ["192.0.2.2", "198.51.100.7"] : ["2001:db8::2", "2001:db8:1::7"]
  const options = flags === "S" ? { mss: version === 4 ? 1460 : 1440, windowScale: 7 } : {}
  const header = build.tcp({ sourcePort: 40_000, targetPort: 80, flags, sequence: 1_000, options })
  const ethernet = build.ethernet({ source: "02:00:00:00:00:02" })
  return buildPacket(ethernet, build.ip(from, to), header, build.patternPayload(payload))
}

/**
 * @param {string} name
 * @param {string} unit
 * @param {import("@demiflow/core").LinkCapabilities} capabilities
 * @param {Turn} turn
 * @returns {HotFunction}
 */
function connection(name, unit, capabilities, { version, segments, payload, answer }) {
  const link = new QuietLink(capabilities)
  // Only one arena of a process has the native checksum: this one needs it.
  if (!capabilities.checksumOffload) attachArena(link.arena)
  const guest = new Guest(link, version)
  const stack = new QuietStack(link, tcp({ holdPoolSize: HOLD_POOL_BYTES }))
  link.give([frame(version, "S", 0)])
  guest.send(1)
  stack.turn(0)
  stack.turn(SocketEvent.writable)
  link.give(Array.from({ length: segments }, () => frame(version, "A", payload)))
  const work = () => {
    guest.send(payload)
    stack.turn(0)
    if (answer > 0) stack.arrive(answer)
    return guest.reached + stack.host.taken
  }
  // Until the windows have their final size.
  for (let round = 0; round < 100; round++) work()
  const { reached } = guest
  const { taken } = stack.host
  const { sent } = link
  work()
  stack.check(name)
  if (guest.reached - reached !== answer || stack.host.taken - taken !== segments * payload) {
    throw new Error(`${name}: ${guest.reached - reached} bytes down, ${stack.host.taken - taken} bytes up`)
  }
  const units = unit === "segment" ? (answer > 0 ? link.sent - sent : segments) : 1
  return { name: `TCP, ${name}`, unit, units, work }
}

/** @returns {HotFunction[]} */
export function functions() {
  return [
    connection("from the guest", "segment", offloads, { version: 4, segments: 8, payload: 1_440, answer: 0 }),
    connection("from the guest, IPv6", "segment", offloads, { version: 6, segments: 8, payload: 1_440, answer: 0 }),
    connection("request and response", "exchange", offloads, { version: 4, segments: 1, payload: 1, answer: 1 }),
    connection("to the guest, cut by the link", "turn", offloads, {
      version: 4,
      segments: 1,
      payload: 0,
      answer: 60_000,
    }),
    connection(
      "to the guest, cut and summed by us",
      "segment",
      { ...plain, mtu: 1500 },
      { version: 4, segments: 1, payload: 0, answer: 58_400 },
    ),
    connection("both ways", "turn", offloads, { version: 6, segments: 8, payload: 1_440, answer: 60_000 }),
  ]
}
