import { Errno } from "@demiflow/core"
import { OpenFlag } from "@demiflow/sys"
import { describe, expect, it } from "vitest"
import { creationFlags } from "./creation-flags.ts"
import { arena, missing, native, scratch } from "./test-support.ts"

const TUNGETFEATURES = 0x800454cf
/** IFF_TUN, IFF_TAP, IFF_NO_PI and others that every kernel has. */
const LONG_KNOWN = 0x7103
const plainTap = { isTap: true, offloads: false, exclusive: false }

/** A kernel that reports these features. */
function kernelWith(features: number) {
  return {
    ioctl(_descriptor: number, request: number, offset: number): number {
      if (request !== TUNGETFEATURES) return -Errno.EINVAL
      arena.view.setUint32(offset, features, true)
      return 0
    },
  }
}

const flagsOn = (features: number) => creationFlags(kernelWith(features), arena, 3, scratch, plainTap)

describe("the flags of a device", () => {
  it("say what it is", () => {
    const kernel = kernelWith(LONG_KNOWN)
    const of = (isTap: boolean, offloads: boolean, exclusive: boolean) =>
      creationFlags(kernel, arena, 3, scratch, { isTap, offloads, exclusive })
    expect([of(true, false, false), of(false, true, false), of(true, true, true)]).toEqual([0x1002, 0x5001, 0xd002])
  })

  it("have senders wait for a full queue where the kernel can do that", () => {
    expect(flagsOn(LONG_KNOWN | 0x0080)).toBe(0x1002 | 0x0080)
  })

  it("have nothing that the kernel doesn't offer, or isn't known here", () => {
    expect(flagsOn(LONG_KNOWN)).toBe(0x1002)
    expect(flagsOn(LONG_KNOWN | 0x0e00)).toBe(0x1002)
    const old = { ioctl: () => -Errno.EINVAL }
    arena.view.setUint32(scratch, 0xffff_ffff, true)
    expect(creationFlags(old, arena, 3, scratch, plainTap)).toBe(0x1002)
  })

  it.skipIf(missing !== "")(`come from a question that this kernel answers${missing}`, () => {
    const descriptor = native.open("/dev/net/tun", OpenFlag.readWrite, 0)
    expect(native.ioctl(descriptor, TUNGETFEATURES, scratch)).toBe(0)
    expect(arena.view.getUint32(scratch, true) & LONG_KNOWN).toBe(LONG_KNOWN)
    native.close(descriptor)
  })
})
