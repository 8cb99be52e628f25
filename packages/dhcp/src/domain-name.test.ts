import { expect, test } from "vitest"
import { encodeDomainNames } from "./domain-name.ts"

const text = (bytes: Uint8Array) =>
  [...bytes].map((byte) => (byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `<${byte}>`)).join("")

// RFC 8415 10
test("labels with their lengths, ended by the root", () => {
  expect(text(encodeDomainNames(["eng.example.com", "example.org."]))).toBe(
    "<3>eng<7>example<3>com<0><7>example<3>org<0>",
  )
})

test("names share their ends when compressed: the example of RFC 3397, section 2", () => {
  expect(text(encodeDomainNames(["eng.apple.com.", "marketing.apple.com."], true))).toBe(
    "<3>eng<5>apple<3>com<0><9>marketing<192><4>",
  )
})

test("a whole name that occurred is a pointer", () => {
  expect(text(encodeDomainNames(["a.b", "a.b", "b"], true))).toBe("<1>a<1>b<0><192><0><192><2>")
})

test("what is no domain name is left out", () => {
  const long = `${"a".repeat(63)}.`.repeat(4)
  expect(text(encodeDomainNames(["", "a..b", "b".repeat(64), long, "ok"]))).toBe("<2>ok<0>")
})

test("what doesn't fit is left out, to the last byte", () => {
  const names = ["eng.apple.com", "marketing.apple.com", "a"]
  const length = encodeDomainNames(names.slice(0, 2), true).length
  for (let room = 0; room <= length + 3; room++) {
    const fitting = room < 15 ? 0 : room < length ? 1 : room < length + 3 ? 2 : 3
    expect([room, encodeDomainNames(names, true, room)]).toEqual([
      room,
      encodeDomainNames(names.slice(0, fitting), true),
    ])
  }
})
