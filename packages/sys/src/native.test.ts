import { afterEach, describe, expect, it, vi } from "vitest"

describe("loading the addon", () => {
  afterEach(() => {
    vi.doUnmock("node:fs")
    vi.resetModules()
  })

  it("answers the same functions each time", async () => {
    const { loadNative } = await import("./native.ts")
    expect(loadNative()).toBe(loadNative())
    expect(loadNative().monotonicMicroseconds()).toBeGreaterThan(0)
  })

  it("says in one line what to do when it isn't built", async () => {
    vi.resetModules()
    vi.doMock("node:fs", () => ({ constants: {}, existsSync: () => false }))
    const { loadNative } = await import("./native.ts")
    const { NativeUnavailableError } = await import("./native-files.ts")
    expect(loadNative).toThrow(NativeUnavailableError)
    expect(loadNative).toThrow(/^The native part of @demiflow\/sys isn't built: run `npm rebuild @demiflow\/sys`.*$/)
  })
})
