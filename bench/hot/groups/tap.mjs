// Frames from the guest, up to the call of a handler that does nothing; and headers for packets to the guest.
import { Address, Demiflow, Drops, HANDLED, Interface, IpProtocol, MacAddress, silentLog } from "@demiflow/core"
import { Stack } from "@demiflow/stack"
import { attachArena } from "@demiflow/sys"
import { TapSide } from "@demiflow/tap"
import { build, buildPacket } from "@demiflow/testkit"
import { offloads, ourMac, plain, QuietLink } from "../quiet-link.mjs"

const BATCH = 64
const guestMac = "02:00:00:00:00:02"
const four = ["192.0.2.2", "198.51.100.7"]
const six = ["2001:db8::2", "2001:db8:1::7"]
const neighbours = ["192.0.2.7", "192.0.2.8", "192.0.2.9", "192.0.2.10"]
const neighbourMac = "02:00:00:00:00:07"
const TCP_HEADER = 20
const TCP_CHECKSUM = 16
const UDP_HEADER = 8
const UDP_CHECKSUM = 6

/** @typedef {import("../measure.mjs").HotFunction} HotFunction */

/** @param {QuietLink} link */
function tapOn(link) {
  const clock = { now: 0 }
  const drops = new Drops()
  const ourLinkLocal = Address.parse("fe80::1")
  const tap = new TapSide({ link, clock, random: { int32: () => 42 }, drops, ourMac, ourLinkLocal, batchSize: BATCH })
  // The handler asks for no verdict.
  const forwarding = {}
  const parts = { arena: link.arena, guest: tap, forwarding, clock, log: silentLog, drops }
  let packets = 0
  const claims = [IpProtocol.tcp, IpProtocol.udp].map((ipProtocol) => ({ ipProtocol, hasPorts: true }))
  const idle = {
    name: "idle",
    claims,
    fromGuest: (/** @type {import("@demiflow/core").Sequence} */ sequence) => {
      packets = (packets + sequence.count) & 0x3fffffff
      return HANDLED
    },
  }
  tap.attach(
    new Stack(/** @type {import("@demiflow/stack").StackParts} */ (/** @type {unknown} */ (parts)), [() => idle]),
  )
  for (const address of neighbours) tap.hostNeighbours.notice(Address.parse(address), MacAddress.parse(neighbourMac))
  return { tap, drops, packets: () => packets }
}

/**
 * @param {string} name
 * @param {(index: number) => Uint8Array} frame
 * @returns {HotFunction}
 */
function parse(name, frame) {
  const link = new QuietLink(offloads)
  link.give(Array.from({ length: BATCH }, (_, index) => frame(index)))
  const { tap, drops, packets } = tapOn(link)
  const work = () => {
    link.waiting = BATCH
    return tap.receive(BATCH) + packets()
  }
  work()
  if (packets() !== BATCH) throw new Error(`${name}: dropped: ${drops.entries().join(" ")}`)
  return { name: `from the guest: ${name}`, unit: "frame", units: BATCH, work }
}

/** @param {readonly string[]} addresses @param {string} [target] */
function tcpFrame([from, to], target = ourMac.toString()) {
  const tcp = build.tcp({ sourcePort: 4000, targetPort: 80, flags: "A", sequence: 1 })
  return buildPacket(build.ethernet({ source: guestMac, target }), build.ip(from, to), tcp, build.patternPayload(1440))
}

/** @param {readonly string[]} addresses @param {number} index */
function udpFrame([from, to], index) {
  const udp = build.udp({ sourcePort: 4000 + index, targetPort: 53 })
  return buildPacket(build.ethernet({ source: guestMac }), build.ip(from, to), udp, build.patternPayload(40))
}

/**
 * @param {string} name
 * @param {import("@demiflow/core").LinkCapabilities} capabilities
 * @param {readonly string[]} addresses
 * @param {number} protocol
 * @param {number} payload Bytes.
 * @param {number} [segmentSize]
 * @returns {HotFunction}
 */
function header(name, capabilities, [to, from], protocol, payload, segmentSize = 0) {
  const link = new QuietLink(capabilities)
  // Only one arena of a process has the native checksum: this one needs it.
  if (!capabilities.checksumOffload) attachArena(link.arena)
  const { tap } = tapOn(link)
  const [headerLength, checksum] = protocol === IpProtocol.tcp ? [TCP_HEADER, TCP_CHECKSUM] : [UDP_HEADER, UDP_CHECKSUM]
  const side = Demiflow.of(Interface.tap, Address.parse(from), 80, Address.parse(to), 4000)
  const length = headerLength + payload
  const work = () => {
    for (let index = 0; index < BATCH; index++) {
      const offset = tap.begin(side, protocol, length)
      link.arena.view.setInt32(offset + 12, 0x50100000)
      tap.end(offset, length, checksum, segmentSize, headerLength)
    }
    tap.flush()
    return link.sentBytes
  }
  work()
  const frames = link.sent
  if (frames < BATCH) throw new Error(`${name}: ${frames} frames were sent`)
  return { name: `to the guest: ${name}`, unit: "frame", units: frames, work }
}

/** @returns {HotFunction} */
function fromNeighbours() {
  const link = new QuietLink(offloads)
  const { tap } = tapOn(link)
  const guest = Address.parse(four[0])
  const sides = neighbours.map((from) => Demiflow.of(Interface.tap, Address.parse(from), 53, guest, 4000))
  const length = UDP_HEADER + 40
  const work = () => {
    for (let index = 0; index < BATCH; index++) {
      const offset = tap.begin(sides[index % sides.length], IpProtocol.udp, length)
      tap.end(offset, length, UDP_CHECKSUM)
    }
    tap.flush()
    return link.sentBytes
  }
  return { name: "to the guest: from neighbours of the host in turn", unit: "frame", units: BATCH, work }
}

/** @returns {HotFunction[]} */
export function functions() {
  const { tcp, udp } = IpProtocol
  const small = { ...plain, mtu: 1500 }
  return [
    parse("TCP over IPv4, one flow", () => tcpFrame(four)),
    parse("TCP over IPv6, one flow", () => tcpFrame(six)),
    parse("UDP over IPv4, another flow each", (index) => udpFrame(four, index)),
    parse("UDP over IPv6, another flow each", (index) => udpFrame(six, index)),
    parse("TCP to a neighbour of the host", () => tcpFrame([four[0], neighbours[0]], neighbourMac)),
    fromNeighbours(),
    header("TCP over IPv4", offloads, four, tcp, 1440),
    header("TCP over IPv6", offloads, six, tcp, 1440),
    header("UDP over IPv4", offloads, four, udp, 1400),
    header("UDP over IPv6", offloads, six, udp, 1400),
    header("TCP, 64,000 bytes cut by the link", { ...offloads, mtu: 1500 }, four, tcp, 64_000, 1440),
    header("TCP, 64,800 bytes cut by us", { ...small, checksumOffload: true }, four, tcp, 64_800, 1440),
    header("TCP, 64,800 bytes cut and summed by us", small, four, tcp, 64_800, 1440),
  ]
}
