import { Address } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readSocketAddress, writeSocketAddress } from "./socket-address.ts"

describe("socket addresses", () => {
  it("has the kernel's layout", () => {
    const view = new DataView(new ArrayBuffer(28))
    expect(writeSocketAddress(view, 0, Address.parse("192.0.2.1"), 80)).toBe(16)
    expect([...new Uint8Array(view.buffer, 0, 16)]).toEqual([2, 0, 0, 80, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    expect(writeSocketAddress(view, 0, Address.parse("fe80::1"), 0x1234, 7)).toBe(28)
    expect([...new Uint8Array(view.buffer)]).toEqual([
      ...[10, 0, 0x12, 0x34, 0, 0, 0, 0],
      ...[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
      ...[7, 0, 0, 0],
    ])
  })

  it("reads what it wrote", () => {
    const view = new DataView(new ArrayBuffer(64))
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    )
    fc.assert(
      fc.property(
        bytes,
        fc.integer({ min: 0, max: 65_535 }),
        fc.integer({ min: 0, max: 30 }),
        (value, port, offset) => {
          const address = Address.fromBytes(value)
          writeSocketAddress(view, offset, address, port)
          const read = new Address()
          expect(readSocketAddress(view, offset, read)).toBe(port)
          expect(read.equals(address)).toBe(true)
        },
      ),
    )
  })

  it("reports another family, and leaves the address alone", () => {
    const view = new DataView(new ArrayBuffer(28))
    view.setUint16(0, 1, true)
    const address = Address.parse("192.0.2.1")
    expect(readSocketAddress(view, 0, address)).toBe(-1)
    expect(address.toString()).toBe("192.0.2.1")
  })
})
