import { Arena, IpProtocol } from "@demiflow/core"
import { expect, test } from "vitest"
import type { NetworkNamespace } from "./namespace/network-namespace.ts"
import type { Native } from "./native.ts"
import { ProcPorts, portOfLine } from "./proc-ports.ts"

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
    readAt(_descriptor: number, offset: number, length: number, position: number): number {
      read++
      return table.copy(arena.bytes, offset, position, position + length)
    },
  }
  const namespace = { open: (path: string) => (path.endsWith("/tcp") ? 3 : -1) }
  const ports = new ProcPorts(
    native as unknown as Native,
    arena,
    namespace as unknown as NetworkNamespace,
    IpProtocol.tcp,
  )
  expect(ports.read()).toEqual(new Set([22, 80]))
  expect(read).toBe(1)
})
