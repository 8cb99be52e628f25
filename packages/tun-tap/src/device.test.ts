import { FrameBatch, Segmentation } from "@demiflow/core"
import { type NetworkNamespace, SocketLevel, UdpOption, VisitedNamespace } from "@demiflow/sys"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Offload, openTap, openTun, type TunTapDevice } from "./device.ts"
import { TunTapError } from "./errors.ts"
import { FrameIo } from "./frame-io.ts"
import { TapLink } from "./tap-link.ts"
import { arena, missing, Namespace, native, putUdpPacket, scratch } from "./test-support.ts"

const packet = scratch + 4096
const batch = new FrameBatch(64)

function codeOf(open: () => unknown): string {
  try {
    open()
  } catch (error) {
    if (error instanceof TunTapError) return error.code
    throw error
  }
  return "opened"
}

describe("opening a device", () => {
  it("refuses names that no interface can have", () => {
    for (const name of ["sixteen-bytes-xx", "a/b", "a:b", "a b", "..", "ä".repeat(8), "a\0b"]) {
      expect(codeOf(() => openTap({ name }))).toBe("ERR_TUN_TAP_NAME_INVALID")
    }
  })

  it("says which permission is missing", () => {
    const isRoot = process.geteuid?.() === 0
    if (isRoot) process.seteuid?.(65_534)
    try {
      expect(() => openTap({ name: "demiflow-no" })).toThrow(/No permission to (open \/dev\/net\/tun|create)/)
      expect(codeOf(() => openTap({ name: "demiflow-no" }))).toBe("ERR_TUN_TAP_PERMISSION")
    } finally {
      if (isRoot) process.seteuid?.(0)
    }
  })

  it("says that the namespace is none", () => {
    expect(codeOf(() => openTap({ namespace: new VisitedNamespace(native, arena, 900_000) }))).toBe(
      "ERR_TUN_TAP_SYSTEM",
    )
  })
})

describe.skipIf(missing !== "")(`devices of the kernel${missing}`, () => {
  let namespace: Namespace
  let network: NetworkNamespace

  beforeAll(async () => {
    namespace = await Namespace.open()
    network = namespace.network
  })

  afterAll(() => namespace.close())

  it("are made in the namespace that is given, and go when they are closed, or stay", () => {
    const device = openTap({ name: "tap%d", namespace: network })
    expect(device.name).toBe("tap0")
    expect(namespace.interface("tap0").macAddress).toBeDefined()
    device.close()
    device.close()
    expect(namespace.has("tap0")).toBe(false)
    const persistent = openTun({ name: "stays", namespace: network })
    persistent.setPersistent(true)
    persistent.close()
    expect(namespace.has("stays")).toBe(true)
    expect(codeOf(() => openTun({ name: "stays", namespace: network, exclusive: true }))).toBe(
      "ERR_TUN_TAP_NAME_IN_USE",
    )
    const again = openTun({ name: "stays", namespace: network })
    again.setPersistent(false)
    again.close()
    expect(namespace.has("stays")).toBe(false)
  })

  it("are named by the kernel where no name is given", () => {
    const [tap, tun] = [openTap({ namespace: network }), openTun({ namespace: network })]
    expect([tap.name, tun.name]).toEqual(["tap0", "tun0"])
    expect(namespace.interface("tun0").macAddress).toBeUndefined()
    tap.close()
    tun.close()
  })

  it("can't have the name of another device, or of another kind", () => {
    const device = openTap({ name: "taken", namespace: network })
    expect(codeOf(() => openTap({ name: "taken", namespace: network }))).toBe("ERR_TUN_TAP_NAME_IN_USE")
    expect(codeOf(() => openTun({ name: "taken", namespace: network }))).toBe("ERR_TUN_TAP_NAME_IN_USE")
    expect(codeOf(() => openTap({ name: "lo", namespace: network }))).toBe("ERR_TUN_TAP_NAME_IN_USE")
    device.close()
  })

  it("leave no descriptor behind when they can't be opened", () => {
    const before = native.createEvent(0)
    expect(codeOf(() => openTap({ name: "lo", namespace: network }))).toBe("ERR_TUN_TAP_NAME_IN_USE")
    const after = native.createEvent(0)
    expect(after).toBe(before + 1)
    native.close(before)
    native.close(after)
  })

  it("say that the interface is down", () => {
    const device = openTap({ name: "down", namespace: network })
    expect(() => device.write(new Uint8Array(60))).toThrow('The interface "down" is down')
    device.close()
  })

  it("report when they are gone", async () => {
    const device = openTap({ name: "gone", namespace: network })
    const io = new FrameIo(device, 1)
    expect(io.receive(batch)).toBe(0)
    const read = device.read()
    namespace.remove("gone")
    expect(await read).toBeUndefined()
    expect(await device.read()).toBeUndefined()
    expect(io.receive(batch)).toBeLessThan(0)
    device.close()
  })

  it("carry IP packets one by one: an echo request is answered", async () => {
    const device = openTun({ name: "ping", namespace: network })
    namespace.configure("ping", "192.0.2.1", 24)
    const request = new Uint8Array(28 + 8)
    const view = new DataView(request.buffer)
    view.setUint16(0, 0x4500)
    view.setUint16(2, request.length)
    view.setUint16(8, 0x4001)
    request.set([192, 0, 2, 2, 192, 0, 2, 1], 12)
    request.set([8, 0, 0, 0, 0x12, 0x34, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8], 20)
    arena.bytes.set(request, packet)
    view.setUint16(10, ~arena.sum(packet, 20, 0))
    view.setUint16(22, ~arena.sum(packet + 20, 16, 0))
    expect(device.write(request)).toBe(true)
    for await (const reply of device) {
      if (reply[0] !== 0x45 || reply[9] !== 1) continue // IPv6 traffic of the kernel's own
      expect([...reply.subarray(12, 22)]).toEqual([192, 0, 2, 1, 192, 0, 2, 2, 0, 0])
      expect([...reply.subarray(24)]).toEqual([...request.subarray(24)])
      break
    }
    device.close()
  })

  describe("with offloads", () => {
    let device: TunTapDevice
    let link: TapLink
    let socket: number
    const frame = packet + 64
    const ethernet = 14

    beforeAll(() => {
      device = openTap({ name: "fast", namespace: network, offloads: true })
      link = new TapLink(device)
      namespace.configure("fast", "203.0.113.1", 24)
      socket = namespace.udpSocket("203.0.113.1", 7000)
      const mac = namespace.interface("fast").macAddress
      mac?.write(arena.view, frame)
      arena.bytes.set([2, 0, 0, 0, 0, 9, 8, 0], frame + 6)
    })

    afterAll(() => {
      native.close(socket)
      device.close()
    })

    function received(): number[] {
      const lengths: number[] = []
      for (;;) {
        const length = native.read(socket, scratch, 4096)
        if (length < 0) return lengths
        lengths.push(length)
      }
    }

    function send(): void {
      expect(link.send(batch, 0, 1)).toBe(1)
    }

    it("has them all on this kernel", () => {
      const all = Object.values(Offload).reduce((bits, bit) => bits | bit, 0)
      expect(device.offloads).toBe(all)
      expect(device.virtioHeaderBytes).toBe(10)
      expect(link.capabilities.headroom).toBe(10)
    })

    it("takes a header of 12 bytes as well", () => {
      const other = openTap({ name: "twelve", namespace: network, offloads: true, virtioHeaderBytes: 12 })
      expect(other.virtioHeaderBytes).toBe(12)
      const io = new FrameIo(other, 4)
      namespace.setUp("twelve", true)
      // As soon as the interface is up, the kernel solicits routers and joins groups.
      for (let count = 0; count === 0; count = io.receive(batch));
      expect(arena.view.getUint16(batch.offset[0] + 12)).toBe(0x86dd)
      other.close()
    })

    it("the kernel takes a complete checksum, and drops a wrong one", () => {
      for (const checksum of ["complete", "wrong", "complete"] as const) {
        const length = putUdpPacket(frame + ethernet, "203.0.113.9", "203.0.113.1", 7000, 100, checksum)
        batch.setPlain(0, frame, ethernet + length)
        send()
      }
      expect(received()).toEqual([100, 100])
    })

    it("the kernel takes a partial checksum that is marked so, and drops one that isn't", () => {
      const length = putUdpPacket(frame + ethernet, "203.0.113.9", "203.0.113.1", 7000, 200, "partial")
      batch.setPlain(0, frame, ethernet + length)
      send()
      expect(received()).toEqual([])
      batch.checksumStart[0] = ethernet + 20
      batch.checksumOffset[0] = 6
      send()
      expect(received()).toEqual([200])
    })

    it("the kernel ignores that a checksum has been verified", () => {
      const length = putUdpPacket(frame + ethernet, "203.0.113.9", "203.0.113.1", 7000, 200, "partial")
      arena.bytes.fill(0, frame - 10, frame)
      arena.bytes[frame - 10] = 2
      expect(native.write(device.descriptor, frame - 10, 10 + ethernet + length)).toBe(10 + ethernet + length)
      expect(received()).toEqual([])
    })

    it("the kernel cuts UDP that was left together, beyond the MTU", () => {
      const length = putUdpPacket(frame + ethernet, "203.0.113.9", "203.0.113.1", 7000, 3500, "partial")
      batch.setPlain(0, frame, ethernet + length)
      batch.checksumStart[0] = ethernet + 20
      batch.checksumOffset[0] = 6
      batch.segmentation[0] = Segmentation.udp
      batch.segmentSize[0] = 1000
      batch.headerLength[0] = ethernet + 28
      send()
      expect(received()).toEqual([1000, 1000, 1000, 500])
    })

    it("gives us UDP left together and without checksum", () => {
      // The neighbour must be known. It is: the kernel learnt it as the source of our frame.
      namespace.connect(socket, "203.0.113.9", 5555)
      native.setOptionInteger(socket, SocketLevel.udp, UdpOption.segment, 1000)
      arena.bytes.fill(9, scratch, scratch + 3500)
      expect(native.write(socket, scratch, 3500)).toBe(3500)
      let seen = 0
      while (seen === 0 && link.receive(batch) >= 0) {
        for (let index = 0; index < batch.count; index++) {
          const at = batch.offset[index]
          const type = arena.view.getUint16(at + 12)
          if (type === 0x0806) answerArp(at)
          if (type !== 0x0800) continue
          seen += 1
          expect(batch.length[index]).toBe(ethernet + 28 + 3500)
          expect(batch.segmentation[index]).toBe(Segmentation.udp)
          expect(batch.segmentSize[index]).toBe(1000)
          expect(batch.checksumStart[index]).toBe(ethernet + 20)
          expect(batch.checksumOffset[index]).toBe(6)
          expect(batch.checksumTrusted[index]).toBe(1)
        }
      }
      expect(seen).toBe(1)
    })

    /** RFC 826: the same packet back, with our address filled in. */
    function answerArp(request: number): void {
      const { bytes } = arena
      const reply = packet + 4096
      bytes.copyWithin(reply, request, request + 42)
      bytes.copyWithin(reply, request + 6, request + 12)
      bytes.set([2, 0, 0, 0, 0, 9], reply + 6)
      bytes[reply + 21] = 2
      bytes.set([2, 0, 0, 0, 0, 9], reply + 22)
      bytes.copyWithin(reply + 28, request + 38, request + 42)
      bytes.copyWithin(reply + 32, request + 22, request + 32)
      const answer = new FrameBatch(1)
      answer.setPlain(0, reply, 42)
      expect(link.send(answer, 0, 1)).toBe(1)
    }
  })
})
