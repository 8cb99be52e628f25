import { Arena, IpProtocol } from "@demiflow/core"
import { afterEach, expect, test } from "vitest"
import { BoundPorts, portOfLine } from "./bound-ports.ts"
import { SocketType } from "./constants.ts"
import type { Native } from "./native.ts"
import { arena, bound, native, openPingNamespace } from "./test-support.ts"

const opened: number[] = []

afterEach(() => {
  for (const descriptor of opened.splice(0)) native.close(descriptor)
})

/** A bound port, closed after the test. */
function take(isV4: boolean, type: 1 | 2): number {
  const { descriptor, port } = bound(isV4, type)
  opened.push(descriptor)
  return port
}

const ports = new BoundPorts(native, arena, -1)

test.each([true, false])("listening TCP and bound UDP sockets are found, and gone once closed (IPv4: %s)", (isV4) => {
  const stream = take(isV4, SocketType.stream)
  const datagram = take(isV4, SocketType.datagram)
  expect(ports.of(IpProtocol.tcp)).toContain(stream)
  expect(ports.of(IpProtocol.udp)).toContain(datagram)
  for (const descriptor of opened.splice(0)) native.close(descriptor)
  expect(ports.of(IpProtocol.tcp)).not.toContain(stream)
  expect(ports.of(IpProtocol.udp)).not.toContain(datagram)
})

test("lists that are longer than what is read at once are read whole", () => {
  const many = Array.from({ length: 400 }, () => take(true, SocketType.stream))
  const found = ports.of(IpProtocol.tcp)
  expect(many.filter((port) => !found.has(port))).toEqual([])
})

test("each namespace has its own", async () => {
  const outside = take(true, SocketType.stream)
  const namespace = await openPingNamespace()
  const inside = new BoundPorts(native, arena, namespace.descriptor)
  try {
    expect(inside.of(IpProtocol.tcp)).toEqual(new Set())
    expect(ports.of(IpProtocol.tcp)).toContain(outside)
  } finally {
    inside.close()
    namespace.close()
  }
})

test.each([
  ["   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00", 22],
  ["  11: 00000000000000000000000001000000:FFFE 00000000000000000000000000000000:0000 0A 00000000", 65534],
  ["   0: 0100007F:0016 0100007F:C350 01 00000000:00000000 00", 0],
  ["  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", 0],
  ["", 0],
  ["  3: 0100007F:0016 00000000:0000 0", 0],
])("in the line %j the port is %i", (line, port) => {
  const bytes = new TextEncoder().encode(line)
  expect(portOfLine(bytes, 0, bytes.length, 0x0a)).toBe(port)
})

test("of TCP, reading ends with the first socket that doesn't listen, however many follow", () => {
  const arena = new Arena(1 << 16)
  const line = (port: number, state: string) => {
    const text = `   0: 0100007F:${port.toString(16).padStart(4, "0").toUpperCase()} 00000000:0000 ${state} 00000000:00000000`
    return `${text.padEnd(149)}\n`
  }
  const heading = `${"  sl  local_address rem_address   st tx_queue rx_queue".padEnd(149)}\n`
  const table = Buffer.from(heading + line(22, "0A") + line(80, "0A") + line(9999, "01").repeat(1000))
  let read = 0
  const native = {
    openInNamespace: (_namespace: number, path: string) => (path.endsWith("/tcp") ? 3 : -1),
    readAt(_descriptor: number, offset: number, length: number, position: number): number {
      read++
      return table.copy(arena.bytes, offset, position, position + length)
    },
  }
  expect(new BoundPorts(native as unknown as Native, arena, -1).of(IpProtocol.tcp)).toEqual(new Set([22, 80]))
  expect(read).toBe(1)
})
