import { describe, expect, it } from "vitest"
import { CONTROL_HEADER_BYTES, controlSpace, findControlMessage, writeControlHeader } from "./control-message.ts"

describe("control messages", () => {
  const view = new DataView(new ArrayBuffer(128))
  writeControlHeader(view, 8, 17, 103, 2)
  view.setUint16(8 + CONTROL_HEADER_BYTES, 1200, true)
  const second = 8 + controlSpace(2)
  writeControlHeader(view, second, 0, 2, 4)
  view.setInt32(second + CONTROL_HEADER_BYTES, 63, true)
  const length = controlSpace(2) + controlSpace(4)

  it("finds each of several by level and type", () => {
    expect(view.getUint16(findControlMessage(view, 8, length, 17, 103), true)).toBe(1200)
    expect(view.getInt32(findControlMessage(view, 8, length, 0, 2), true)).toBe(63)
    expect(findControlMessage(view, 8, length, 0, 103)).toBe(-1)
  })

  it("stops at lengths that don't fit", () => {
    expect(findControlMessage(view, 8, controlSpace(2) + 18, 0, 2)).toBe(-1)
    expect(findControlMessage(view, 8, 0, 17, 103)).toBe(-1)
    const bad = new DataView(view.buffer.slice(0))
    bad.setUint32(8, 0, true)
    expect(findControlMessage(bad, 8, length, 0, 2)).toBe(-1)
    bad.setUint32(8, 1000, true)
    expect(findControlMessage(bad, 8, length, 17, 103)).toBe(-1)
  })
})
