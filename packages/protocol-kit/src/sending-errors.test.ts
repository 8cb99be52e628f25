import { Errno } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { MOST_OF_OTHERS, SendingErrors } from "./sending-errors.ts"

const unreachable = -Errno.EHOSTUNREACH
const refused = -Errno.ECONNREFUSED

describe("an error that a sending call answers", () => {
  test("is the host's own if it comes again, and nobody has reported anything", () => {
    const errors = new SendingErrors()
    expect(errors.mayBeOthers(unreachable, 0)).toBe(true)
    expect(errors.mayBeOthers(unreachable, 0)).toBe(false)
    expect(errors.isHosts(unreachable)).toBe(true)
    errors.begin()
    expect(errors.mayBeOthers(unreachable, 0)).toBe(true)
  })

  test("may be somebody else's again and again, whose report was taken before the error was noted", () => {
    const errors = new SendingErrors()
    for (let round = 0; round < 5; round++) {
      expect(errors.mayBeOthers(unreachable, 0)).toBe(true)
      expect(errors.mayBeOthers(unreachable, 3)).toBe(true)
    }
  })

  test.each([
    ["a refused connection, reported or not", refused, 0],
    ["what is reported", unreachable, 1],
  ])("is never the host's, but the call is not repeated for ever: %s", (_, answer, reported) => {
    const errors = new SendingErrors()
    for (let count = 0; count < MOST_OF_OTHERS; count++) expect(errors.mayBeOthers(answer, reported)).toBe(true)
    expect(errors.mayBeOthers(answer, reported)).toBe(false)
    expect(errors.isHosts(answer)).toBe(false)
  })
})
