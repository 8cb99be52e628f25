import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { withConstants } from "./inline.mjs"

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "demiflow-constants-"))
  writeFileSync(
    join(folder, "other.ts"),
    `export const Kind = { plain: 1, least: -1, bit: 1 << 4, text: 'x' } as const
    const Private = { plain: 2 } as const
    const Public = Object.freeze({ plain: 3 })
    export { Public as Private }`,
  )
})

afterEach(() => rmSync(folder, { recursive: true }))

/** What becomes of a text, without the spaces that keep its length. */
function inlined(text: string): string {
  const result = withConstants(join(folder, "this.ts"), text)
  expect(result).toHaveLength(text.length)
  return result.replaceAll(/ {2,}/g, " ").trim()
}

const IMPORT = 'import { Kind } from "./other.ts"; '
const PRIVATE = 'import { Private } from "./other.ts"; f(Private.plain)'
const RENAMED = 'import { Kind as Other } from "./other.ts"; '

test.each([
  ["a member of an imported object", `${IMPORT}f(Kind.plain)`, `${IMPORT}f(1 )`],
  ["one imported under another name", `${RENAMED}f(Other.plain)`, `${RENAMED}f(1 )`],
  ["a negative number", `${IMPORT}x = 1-Kind.least`, `${IMPORT}x = 1-(-1)`],
  ["a shifted number", `${IMPORT}switch (x) { case Kind.bit: }`, `${IMPORT}switch (x) { case 16 : }`],
  ["an object of the same file", "const Own = { a: 7 } as const; f(Own.a)", "const Own = { a: 7 } as const; f(7 )"],
  [
    "a package's",
    'import { IpProtocol } from "@demiflow/core"; f(IpProtocol.tcp)',
    'import { IpProtocol } from "@demiflow/core"; f(6 )',
  ],
])("%s is inlined", (_, text, expected) => expect(inlined(text)).toBe(expected))

test.each([
  ["a text", `${IMPORT}f(Kind.text)`],
  ["a member that there isn't", `${IMPORT}f(Kind.other)`],
  ["a type", `${IMPORT}type T = typeof Kind.plain`],
  ["something of a member", `${IMPORT}f(Kind.plain.toString())`],
  ["the object", `${IMPORT}f(Kind)`],
  ["a member by a computed name", `${IMPORT}f(Kind[x])`],
  ["a parameter of that name", `${IMPORT}function f(Kind) { return Kind.plain }`],
  ["a local variable of that name", `${IMPORT}function f() { const Kind = g(); return Kind.plain }`],
  ["a destructured variable of that name", `${IMPORT}function f({ Kind }) { return Kind.plain }`],
  ["what another file exports under the name of its own object", PRIVATE],
  ["a variable of a loop at the top", `${IMPORT}for (const Kind of list) f(Kind.plain)`],
  ["an error that is caught at the top", `${IMPORT}try { f() } catch (Kind) { g(Kind.plain) }`],
  ["an object with another spread into it", "const Own = { a: 7, ...base } as const; f(Own.a)"],
  ["an object with a computed name", "const Own = { a: 7, [name]: 8 } as const; f(Own.a)"],
  ["another object's member of that name", `${IMPORT}f(this.Kind.plain)`],
  ["an object that may change", "const Own = { a: 7 }; f(Own.a)"],
  ["what is in a text", `${IMPORT}f("Kind.plain")`],
])("%s is left alone", (_, text) => expect(inlined(text)).toBe(text))
