import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseCommandLine, resolveConfiguration } from "@demiflow/config"
import { Machinery, ProgramLog } from "@demiflow/program/data-path"
import { afterAll, expect, it } from "vitest"
import { DataPath } from "./assembly.ts"

const folder = mkdtempSync(join(tmpdir(), "passt-"))
const path = join(folder, "socket")
afterAll(() => rmSync(folder, { recursive: true }))

const GUEST = "525400123456"
const ARP_REQUEST = `ffffffffffff${GUEST}08060001080006040001${GUEST}c0000202000000000000c0000201`

function configuration() {
  const parsed = parseCommandLine(["-4", "-s", path, "-a", "192.0.2.2/24", "-g", "192.0.2.1"], "passt")
  if (parsed.kind !== "run") throw new Error(JSON.stringify(parsed))
  const facts = { network: { interfaces: [], addresses: [], routes: [] }, resolvConf: "" }
  const resolution = resolveConfiguration(parsed.options, facts, "passt")
  if (resolution.kind !== "configuration") throw new Error(resolution.message)
  return resolution.configuration
}

/** A frame with its length before it, as QEMU sends it. */
function framed(frame: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(frame.length)
  return Buffer.concat([length, frame])
}

/** The frames that arrive, without the lengths before them. */
async function* framesOf(socket: Socket): AsyncGenerator<Buffer, never> {
  let received = Buffer.alloc(0)
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    received = Buffer.concat([received, chunk])
    while (received.length >= 4 && received.length >= 4 + received.readUInt32BE(0)) {
      const end = 4 + received.readUInt32BE(0)
      const frame = received.subarray(4, end)
      received = received.subarray(end)
      yield frame
    }
  }
  throw new Error("the connection has ended")
}

/** The next frame with this EtherType. */
async function next(frames: AsyncGenerator<Buffer, never>, etherType: number): Promise<Buffer> {
  for (;;) {
    const { value } = await frames.next()
    if (value.readUInt16BE(12) === etherType) return value
  }
}

/** A DHCPDISCOVER, RFC 2131. */
function discover(): Buffer {
  const message = Buffer.alloc(300)
  message.set([1, 1, 6, 0, 1, 2, 3, 4], 0)
  message.write(GUEST, 28, "hex")
  message.set([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255], 236)
  const packet = Buffer.alloc(28 + message.length)
  packet.set([0x45, 0], 0)
  packet.writeUInt16BE(packet.length, 2)
  packet.set([64, 17], 8)
  packet.fill(255, 16, 20)
  let sum = 0
  for (let at = 0; at < 20; at += 2) sum += packet.readUInt16BE(at)
  sum = (sum & 0xffff) + (sum >>> 16)
  packet.writeUInt16BE(~sum & 0xffff, 10)
  packet.writeUInt16BE(68, 20)
  packet.writeUInt16BE(67, 22)
  packet.writeUInt16BE(8 + message.length, 24)
  packet.set(message, 28)
  return Buffer.concat([Buffer.from(`ffffffffffff${GUEST}0800`, "hex"), packet])
}

it("serves a guest, survives its end, serves the next one, and removes its socket", async () => {
  const messages: string[] = []
  const log = new ProgramLog("normal", true, [{ write: (_severity, message) => messages.push(message) }])
  const dataPath = new DataPath(
    new Machinery(),
    { configuration: configuration(), identity: undefined, linkLocalScope: undefined },
    log,
  )
  dataPath.open()
  expect(dataPath.socketPath).toBe(path)
  const end = dataPath.run()
  for (let guest = 0; guest < 2; guest++) {
    const socket = connect(path)
    const frames = framesOf(socket)
    // The station with the guest's address is probed first.
    const question = await next(frames, 0x0806)
    expect(question.subarray(0, 12).toString("hex")).toBe("ffffffffffff9a559a559a55")
    expect([...question.subarray(38, 42)]).toEqual([192, 0, 2, 2])
    socket.write(framed(Buffer.from(ARP_REQUEST, "hex")))
    const arp = await next(frames, 0x0806)
    expect(arp.subarray(0, 12).toString("hex")).toBe(`${GUEST}9a559a559a55`)
    socket.write(framed(discover()))
    const offer = await next(frames, 0x0800)
    // yiaddr
    expect([...offer.subarray(14 + 28 + 16, 14 + 28 + 20)]).toEqual([192, 0, 2, 2])
    const closed = new Promise((resolve) => socket.once("close", resolve))
    // An impossible length, which ends the connection and nothing else.
    socket.write(Buffer.alloc(4, 0xff))
    socket.resume()
    await closed
  }
  dataPath.stop()
  await end
  dataPath.close()
  expect(existsSync(path)).toBe(false)
  expect(messages.filter((message) => /^accepted connection from PID \d+$/.test(message))).toHaveLength(2)
  // Once: the second guest has the first one's address, and is recognised as another one by its DHCPDISCOVER.
  expect(messages.filter((message) => /New guest MAC|Another guest/.test(message))).toEqual([
    "New guest MAC address observed: 52:54:00:12:34:56",
    "Another guest than before: ending the flows of the last one",
  ])
  expect(messages.filter((message) => message.includes("announced a frame of"))).toHaveLength(2)
})
