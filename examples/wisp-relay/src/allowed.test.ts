import { expect, test } from "vitest"
import { isPublic } from "./allowed.ts"

test.each([
  ["93.184.216.34", true],
  ["2600::1", true],
  ["10.1.2.3", false],
  ["127.0.0.1", false],
  ["224.0.0.1", false],
  ["198.18.0.1", false],
  ["::1", false],
  ["::ffff:10.1.2.3", false],
  ["64:ff9b::a01:203", false],
  ["fe80::1%eth0", false],
  ["fd00::1", false],
  ["no address", false],
])("%s: %s", (address, expected) => expect(isPublic(address)).toBe(expected))
