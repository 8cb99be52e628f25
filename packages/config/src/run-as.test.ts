import { expect, test } from "vitest"
import { parseRunAs, resolveRunAs } from "./run-as.ts"

const PASSWORDS = `root:x:0:0:root:/root:/bin/bash
toor:x:0:0::/root:/bin/sh
man:x:6:12:man:/var/cache/man:/usr/sbin/nologin
broken:x::
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`
const GROUPS = `root:x:0:
man:x:12:
nogroup:x:65534:
`

function account(text: string, passwords = PASSWORDS, groups = GROUPS): string {
  const runAs = parseRunAs(text)
  if (runAs === undefined) return "refused"
  const resolution = resolveRunAs(runAs, passwords, groups)
  return resolution.kind === "error" ? resolution.message : `${resolution.user} ${resolution.group}`
}

test.each([
  ["6", "6 6"],
  ["6:7", "6 7"],
  ["4294967294", "4294967294 4294967294"],
  ["man", "6 12"],
  ["man:nogroup", "6 65534"],
  ["man:7", "6 7"],
  ["6:man", "6 12"],
])("%s is %s", (text, expected) => {
  expect(account(text)).toBe(expected)
})

test.each([
  ["0", "0 is root"],
  ["0:12", "0 is root"],
  ["root", "root is root"],
  ["toor", "toor is root"],
  ["nosuch", "there is no user nosuch"],
  ["ma", "there is no user ma"],
  ["broken", "there is no user broken"],
  ["man:nosuch", "there is no group nosuch"],
])("%s: %s", (text, reason) => {
  expect(account(text)).toBe(`Invalid user to run as: ${reason}`)
})

test("without the system's lists, numbers do", () => {
  expect([account("6:7", "", ""), account("man", "", "")]).toEqual([
    "6 7",
    "Invalid user to run as: there is no user man",
  ])
})

test.each(["", ":", "6:", ":7", "6:7:8", "4294967295", "6:4294967295", "a b", "man:a b", "../x"])(
  "%j is refused",
  (text) => {
    expect(account(text)).toBe("refused")
  },
)
