import { constants } from "node:os"
import { describe, expect, it } from "vitest"
import { checkResult, errnoName, errnoSentence, SystemError } from "./errno.ts"

describe("errno", () => {
  it("names error numbers, negated or not", () => {
    expect(errnoName(constants.errno.ECONNREFUSED)).toBe("ECONNREFUSED")
    expect(errnoName(-constants.errno.ECONNREFUSED)).toBe("ECONNREFUSED")
    expect(errnoName(11)).toBe("EAGAIN")
    expect(errnoName(3999)).toBe("E3999")
  })

  it("says them in words", () => {
    expect(errnoSentence(-13)).toBe("permission denied")
    expect(errnoSentence(3999)).toBe("error number 3999")
  })

  it("passes results on and throws errors that say what failed, why and what to do", () => {
    expect(checkResult(7, "do it")).toBe(7)
    expect(() => checkResult(-13, "open /dev/net/tun", "load the tun module")).toThrow(
      "Could not open /dev/net/tun: permission denied (EACCES); load the tun module",
    )
    const error = new SystemError("do it", -2)
    expect(error).toMatchObject({ code: "ENOENT", errno: 2, name: "SystemError" })
  })
})
