import { Arena, Errno } from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { attachArena } from "../attach.ts"
import { type CallRule, encodeFilter, type Refusal } from "./call-filter.ts"

const native = attachArena(new Arena(1 << 16))
const ARCHITECTURE = native.architecture()
const X86_64 = 0xc000003e | 0
const PASS = 0x7fff0000
const SIGNAL = 0x00030000
const ENOSYS = 38
const error = (errno: number) => 0x00050000 | errno

interface Call {
  readonly name: string
  readonly arguments?: readonly number[]
  readonly architecture?: number
  /** Added to the number. */
  readonly plus?: number
}

/** The kernel's decision: classic BPF, as seccomp(2) uses it. */
function decide(
  filter: Uint8Array,
  { name, arguments: words = [], architecture = ARCHITECTURE, plus = 0 }: Call,
): number {
  const view = new DataView(filter.buffer)
  const data = new DataView(new ArrayBuffer(64))
  data.setInt32(0, native.callNumber(name) + plus, true)
  data.setInt32(4, architecture, true)
  for (const [place, word] of words.entries()) data.setInt32(16 + 8 * place, word, true)
  let accumulator = 0
  for (let at = 0; ; at += 8) {
    const operation = view.getUint16(at, true)
    const value = view.getUint32(at + 4, true)
    const jump = (holds: boolean) => 8 * view.getUint8(at + (holds ? 2 : 3))
    if (operation === 0x20) accumulator = data.getUint32(value, true)
    else if (operation === 0x54) accumulator = (accumulator & value) >>> 0
    else if (operation === 0x15) at += jump(accumulator === value)
    else if (operation === 0x35) at += jump(accumulator >= value)
    else if (operation === 0x05) at += 8 * value
    else if (operation === 0x06) return value
    else throw new Error(`operation ${operation}`)
  }
}

function filterOf(rules: readonly CallRule[], otherwise: Refusal = { kind: "signal" }): Uint8Array {
  const filter = encodeFilter(native, rules, otherwise)
  if (filter === undefined) throw new Error("no filters on this architecture")
  return filter
}

describe.skipIf(ARCHITECTURE === 0)("encodeFilter", () => {
  it("lets calls pass that a rule names, and refuses the others", () => {
    const filter = filterOf([{ call: "read" }, { call: "write" }])
    expect(["read", "write", "openat"].map((name) => decide(filter, { name }))).toEqual([PASS, PASS, SIGNAL])
  })

  it.each<[Refusal, number]>([
    [{ kind: "error", errno: Errno.EPERM }, error(Errno.EPERM)],
    [{ kind: "signal" }, SIGNAL],
    [{ kind: "pass" }, PASS],
  ])("answers what isn't named with %o", (otherwise, answer) => {
    expect(decide(filterOf([{ call: "read" }], otherwise), { name: "write" })).toBe(answer)
  })

  it("refuses a call with an error of its own", () => {
    expect(decide(filterOf([{ call: "openat", refuse: 2 }]), { name: "openat" })).toBe(error(2))
  })

  it("lets a call pass whose arguments are as one of the alternatives has them", () => {
    const filter = filterOf([
      {
        call: "socket",
        when: [
          [
            { argument: 0, oneOf: [2, 10] },
            { argument: 1, mask: 0xf, oneOf: [1] },
          ],
          [{ argument: 2, oneOf: [58] }],
        ],
      },
    ])
    const socket = (...words: number[]) => decide(filter, { name: "socket", arguments: words })
    expect([socket(2, 1, 0), socket(10, 0x801, 0), socket(16, 3, 58)]).toEqual([PASS, PASS, PASS])
    expect([socket(1, 1, 0), socket(2, 3, 0), socket(16, 1, 0)]).toEqual([SIGNAL, SIGNAL, SIGNAL])
  })

  it("goes on to the next rule for a call that a rule doesn't apply to", () => {
    const filter = filterOf([
      { call: "clone", when: [[{ argument: 0, oneOf: [7] }]] },
      { call: "clone", refuse: 1 },
    ])
    const clone = (flags: number) => decide(filter, { name: "clone", arguments: [flags] })
    expect([clone(7), clone(8)]).toEqual([PASS, error(1)])
  })

  it("refuses every call of another architecture, and of a variant of this one", () => {
    const filter = filterOf([{ call: "read" }])
    expect(decide(filter, { name: "read", architecture: 0x40000003 })).toBe(SIGNAL)
    if (ARCHITECTURE === X86_64) expect(decide(filter, { name: "read", plus: 0x40000000 })).toBe(SIGNAL)
  })

  it("leaves out calls that this architecture lacks", () => {
    const lacking = { ...native, callNumber: (name: string) => (name === "fork" ? -ENOSYS : native.callNumber(name)) }
    const rules = [{ call: "fork" }, { call: "read" }]
    expect(encodeFilter(lacking, rules, { kind: "signal" })).toEqual(filterOf([{ call: "read" }]))
  })

  it("takes a name that no architecture has for a mistake", () => {
    expect(() => filterOf([{ call: "raed" }])).toThrow(TypeError)
  })

  it("takes a rule with more conditions than a jump can pass over for a mistake", () => {
    const oneOf = Array.from({ length: 300 }, (_, index) => index)
    expect(() => filterOf([{ call: "ioctl", when: [[{ argument: 1, oneOf }]] }])).toThrow(RangeError)
  })
})
