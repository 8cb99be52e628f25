import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { placeholders, withMetadata } from "../metadata/metadata.mjs"
import { withInstallSection } from "../metadata/readme.mjs"
import { brokenLinks } from "./documents.mjs"
import { checkImports } from "./imports.mjs"
import { checkNames } from "./names.mjs"
import { checkPackages } from "./packages.mjs"
import { avoidedIdentifiersIn, avoidedProseIn } from "./prose.mjs"
import { checkTour } from "./tour.mjs"
import { forbiddenIn } from "./tracked-files.mjs"

let root = ""

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "demiflow-structure-"))
  for (const name of ["core", "flow", "tcp", "udp", "sys", "tap", "testkit"]) {
    write(
      `packages/${name}/package.json`,
      JSON.stringify({ name: `@demiflow/${name}`, exports: { ".": "./src/index.ts" } }),
    )
    write(`packages/${name}/src/index.ts`, "export {}\n")
  }
})

afterEach(() => {
  rmSync(root, { recursive: true })
})

function write(path: string, content: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
}

describe("checkImports", () => {
  test("accepts imports that point downwards", () => {
    write("packages/flow/src/table.ts", 'import type { Demiflow } from "@demiflow/core"\nimport "./index.ts"\n')
    write("packages/tcp/src/index.ts", 'export * from "@demiflow/flow"\n')
    write("packages/sys/src/index.ts", 'import "node:fs"\n')
    write("packages/tcp/src/connection/a.test.ts", 'import "./a.ts"\nimport "vitest"\n')
    write("packages/tcp/src/index.test.ts", 'import "node:fs"\nimport "@demiflow/testkit"\nimport "vitest"\n')
    write("apps/pasta/src/main.ts", 'import "@demiflow/sys"\nimport "@demiflow/tcp"\n')
    expect(checkImports(root)).toEqual([])
  })

  test.each([
    ["core that imports flow", "packages/core/src/a.ts", 'import "@demiflow/flow"', "not below core"],
    ["core that imports anything", "packages/core/src/a.ts", 'import "ipaddr.js"', "core imports nothing"],
    [
      "a test of what the testkit is built from",
      "packages/flow/src/a.test.ts",
      'import "@demiflow/testkit"',
      "not below flow",
    ],
    ["flow that imports a protocol", "packages/flow/src/a.ts", 'import "@demiflow/tcp"', "not below flow"],
    ["a protocol that imports another", "packages/tcp/src/a.ts", 'import "@demiflow/udp"', "not below tcp"],
    ["a protocol that imports the system", "packages/tcp/src/a.ts", 'import "@demiflow/sys"', "not below tcp"],
    ["a type from above", "packages/core/src/a.ts", 'import type { A } from "@demiflow/flow"', "not below core"],
    ["a re-export from above", "packages/core/src/a.ts", 'export * from "@demiflow/flow"', "not below core"],
    ["an import() from above", "packages/core/src/a.ts", 'await import("@demiflow/flow")', "not below core"],
    ["Node.js in a portable package", "packages/tcp/src/a.ts", 'import "node:net"', "without Node.js"],
    ["Node.js under its old name", "packages/tap/src/a.ts", 'import "fs"', "without Node.js"],
    ["a way around the exports", "packages/tcp/src/a.ts", 'import "@demiflow/core/src/a.ts"', "does not export"],
    ["a path to another package", "packages/tcp/src/a.ts", 'import "../../core/src/index.ts"', "outside its package"],
    [
      "an app that reaches into a package",
      "apps/pasta/src/a.ts",
      'import "../../../packages/tcp/src/a.ts"',
      "a file of a package",
    ],
    ["an example that reaches into a package", "examples/x/a.ts", 'import "@demiflow/tcp/src/a.ts"', "not exported"],
    [
      "core in a pure folder",
      "packages/tcp/src/connection/a.ts",
      'import type { Arena } from "@demiflow/core"',
      "imports nothing from outside",
    ],
    ["a way out of a pure folder", "packages/tcp/src/connection/a.ts", 'import "../index.ts"', "nothing from outside"],
    [
      "a test of a pure folder with a stack",
      "packages/tcp/src/connection/a.test.ts",
      'import "@demiflow/testkit"',
      "nothing from outside",
    ],
    ["a package without a place", "packages/new/package.json", "{}", "no place yet"],
    [
      "a dependency upwards",
      "packages/core/package.json",
      '{"dependencies":{"@demiflow/tcp":"^0.0.0"}}',
      "not below it",
    ],
  ])("refuses %s", (_what, path, content, problem) => {
    write(path, content)
    expect(checkImports(root)).toEqual([expect.stringContaining(problem)])
  })
})

test("checkImports asks for portable packages to be type-checked as such", () => {
  write("tsconfig.portable.json", '{ "include": ["packages/core/src", "packages/flow/src"] }')
  expect(checkImports(root)).toContainEqual(expect.stringContaining("packages/tcp is not in tsconfig.portable.json"))
  expect(checkImports(root)).not.toContainEqual(expect.stringContaining("packages/core"))
})

describe("checkNames", () => {
  function exportsOfCore(declaration: string): void {
    write("packages/core/src/a.ts", declaration)
    write("packages/core/src/index.ts", 'export * from "./a.ts"\n')
  }

  test("accepts the glossary's words, the local path, the TAP device, and names that the C tool or Linux has", () => {
    exportsOfCore(`export interface Sides { seqToGuest: number; tapSide: number; linkLocalScope: number; localPath: number }
export class TapLink { #inbound = 1; openTap(): void {} }
export interface Rules { outboundAddress: string }
const local = 1
`)
    expect(checkNames(root)).toEqual([])
  })

  test.each([
    ["a function", "export function readInbound(): void {}", "readInbound"],
    ["a constant", "export const SRC_PORT = 1", "SRC_PORT"],
    ["a member of a class", "export class A { get peerAddress(): number { return 1 } }", "peerAddress"],
    ["a member of an interface", "export interface A { fromTap(): void }", "fromTap"],
    ["a type", "export type RemoteEnd = number", "RemoteEnd"],
    ["a member of a type", "export type Ends = { readonly remoteAddress: string }", "remoteAddress"],
    ["a key of an object", "export const Kind = { inbound: 1 } as const", "inbound"],
    ["another name for an export", "const fine = 1\nexport { fine as remoteEnd }", "remoteEnd"],
  ])("refuses a word of two meanings in %s", (_what, declaration, name) => {
    exportsOfCore(declaration)
    expect(checkNames(root)).toEqual([expect.stringContaining(`packages/core/src/a.ts exports ${name}: instead of`)])
  })

  test("refuses two published classes of one name", () => {
    exportsOfCore("export class Same {}")
    write("packages/flow/src/index.ts", "export class Same {}\n")
    expect(checkNames(root)).toEqual([expect.stringContaining("exports Same, and so does packages/core/src/a.ts")])
  })
})

describe("checkPackages", () => {
  const repository = { license: "MIT", engines: { node: ">=20.19" }, homepage: "https://a.invalid/", repository: {} }
  const manifest = withMetadata(repository, "packages/core", {
    name: "@demiflow/core",
    version: "0.0.0",
    description: "Words",
    keywords: ["a", "b", "c", "d", "e"],
    type: "module",
    exports: {},
    files: [],
    scripts: { build: "tsup", test: "vitest", typecheck: "tsc" },
  })

  const readme = '# Core\n\n## Example\n\n```ts\nimport { tap } from "@demiflow/tap"\nimport "node:fs"\n```\n'

  function problemsOfCore(): string[] {
    return checkPackages(root).filter((problem) => problem.startsWith("packages/core "))
  }

  beforeEach(() => {
    write("package.json", JSON.stringify(repository))
    write("packages/core/package.json", JSON.stringify(manifest))
    write("packages/core/README.md", withInstallSection(manifest, readme))
    write("packages/core/LICENSE", "MIT\n")
    write(".changeset/first.md", '---\n"@demiflow/core": minor\n---\n\nFirst.\n')
  })

  test("accepts a complete package", () => {
    expect(problemsOfCore()).toEqual([])
  })

  test("asks for what is missing", () => {
    write("packages/core/package.json", JSON.stringify({ name: "@demiflow/core", version: "0.0.0" }))
    write("packages/core/README.md", "# Core\n")
    rmSync(join(root, "packages/core/LICENSE"))
    rmSync(join(root, ".changeset/first.md"))
    const problems = problemsOfCore().join("\n")
    for (const what of [
      "LICENSE",
      "licence",
      "ES module",
      "description",
      '"files"',
      '"exports"',
      '"typecheck"',
      "changeset",
      "example",
      "keywords",
      "npm run metadata",
    ]) {
      expect(problems).toContain(what)
    }
  })

  test("asks for the installation of what the example imports", () => {
    const complete = withInstallSection(manifest, readme)
    expect(complete).toContain("npm install @demiflow/core\n")
    expect(complete).toContain("npm install @demiflow/tap\n")
    expect(withInstallSection(manifest, complete)).toBe(complete)
    write("packages/core/README.md", readme)
    expect(problemsOfCore().join()).toContain("installation is out of date")
  })

  test("refuses examples with numbers that can be predicted", () => {
    write("packages/core/README.md", withInstallSection(manifest, readme.replace("import", "Math.random()\nimport")))
    expect(problemsOfCore().join()).toContain("CryptoRandom")
  })

  test("asks for one version, and for the metadata of the repository", () => {
    const problemsWith = (changes: object) => {
      write("packages/tcp/package.json", JSON.stringify({ ...manifest, name: "@demiflow/tcp", ...changes }))
      return checkPackages(root).join("\n")
    }
    expect(problemsWith({ version: "0.0.1" })).toContain("packages/tcp has the version 0.0.1, others have 0.0.0")
    const metadata = "packages/tcp differs from the other packages"
    // The metadata of another package.
    expect(problemsWith({})).toContain(metadata)
    const complete = withMetadata(repository, "packages/tcp", { ...manifest, name: "@demiflow/tcp" })
    expect(problemsWith(complete)).not.toContain(metadata)
    expect(problemsWith({ ...complete, homepage: "https://b.invalid/" })).toContain(metadata)
  })

  test("refuses a changeset for a package that isn't published", () => {
    write("packages/tcp/package.json", JSON.stringify({ ...manifest, name: "@demiflow/tcp", private: true }))
    write(".changeset/second.md", '---\n"@demiflow/tcp": patch\n---\n\nSecond.\n')
    expect(checkPackages(root)).toContain(".changeset announces @demiflow/tcp, which isn't published")
  })

  test("asks for the version of a neighbour as it would be published", () => {
    write(
      "packages/tcp/package.json",
      JSON.stringify({ ...manifest, name: "@demiflow/tcp", dependencies: { "@demiflow/core": "*" } }),
    )
    expect(checkPackages(root)).toContainEqual(expect.stringContaining('write "^0.0.0"'))
  })
})

describe("forbiddenIn", () => {
  test("finds folders of one machine and hosts of registries", () => {
    const folder = ["", "work", "main", "x"].join("/")
    const host = ["registry", "example", "org"].join(".")
    expect(forbiddenIn(`fine\ncd ${folder}\n`)).toEqual([expect.stringContaining("line 2: a folder of one machine")])
    expect(forbiddenIn(`from ${host}/x`)).toEqual([expect.stringContaining("the host of a package registry")])
  })

  test("accepts folders that every machine has, and ordinary hosts", () => {
    // Concatenated, so that this file itself contains none of the forbidden words.
    const alike = [["", "work.txt"].join("/"), [".", "work", "x"].join("/")].join(" ")
    expect(forbiddenIn(`/proc/self/ns/net /tmp/x /home ${alike} www.example.org`)).toEqual([])
  })
})

describe("words that are avoided", () => {
  test.each([
    ["a comment", "a.ts", "// The handler is " + "told the address.", "told"],
    ["a comment behind code", "a.ts", "const a = 1 // " + "Who" + "ever asks", "Who" + "ever"],
    ["a documentation comment", "a.ts", " * Who" + " binds the port decides.", "Who"],
    ["a document", "a.md", "It can't be" + " had without a descriptor.", "be" + " had"],
    ["a script of the shell", "a.sh", "# looks" + " for the guest", "looks" + " for"],
    ["a title", "a.test.ts", '  test("so' + ' many sockets", () => {', "so" + " many"],
    ["a table's title", "a.test.ts", '  ])("%s: tel' + 'ls an error", (one) => {', "tel" + "ls"],
    ["a message", "packages/arp/src/a.ts", "log.trace(`to" + "ld the guest its address`)", "to" + "ld"],
    ["a help text", "packages/config/src/a.ts", '    help: "Who' + 'ever may connect.",', "Who" + "ever"],
    ["a help text of a tool", "bench/a.mjs", 'throw new Error("no figures to' + 'ld")', "to" + "ld"],
    [
      "a message of the addon",
      "packages/sys/native/a.c",
      'fputs("looks' + ' for a file\\n", stderr);',
      "looks" + " for",
    ],
  ])("are found in %s", (_what, file, text, word) => {
    expect(avoidedProseIn(file, text)).toEqual([expect.stringContaining(`instead of "${word}"`)])
  })

  test.each([
    ["the first", "`usage: pasta, as to" + "ld\n`"],
    ["another", "`\nusage: pasta, as to" + "ld\n`"],
    ["the last", "`\nusage:\npasta, as to" + "ld`"],
    ["one behind code", "`usage: $" + "{\n  name\n}, as to" + "ld $" + "{name}\n`"],
    ["one within code", "`usage:\n$" + "{names.map((name) => `\n$" + "{name}, as to" + "ld`)}`"],
  ])("are found in %s line of a text over several", (_which, literal) => {
    const text = `// It is "\`".\nconst usage = ${literal}\n`
    const line = text.split("\n").findIndex((each) => each.includes("to" + "ld")) + 1
    const found = [expect.stringContaining(`line ${line}: instead of "to${"ld"}"`)]
    expect(avoidedProseIn("packages/tap/src/a.ts", text)).toEqual(found)
    expect(avoidedProseIn("bench/a.mjs", text)).toEqual(found)
    expect(avoidedProseIn("packages/tap/src/a.test.ts", text)).toEqual([])
  })

  test("aren't found in code within a text, nor in comments there", () => {
    const code = "const usage = `usage:\n$" + "{names\n  .map((to" + "ld) => to" + "ld) /* as to" + "ld */\n}\n`\n"
    expect(avoidedProseIn("packages/tap/src/a.ts", code)).toEqual([])
  })

  test("aren't found in code, in links, in words that contain them", () => {
    expect(avoidedProseIn("a.md", "`tell` is [a call](tells-all.md), retold by somebody who knows. How many?")).toEqual(
      [],
    )
    expect(
      avoidedProseIn("packages/tap/src/a.ts", ["log.trace(`arp who has $", "{target}? tell $", "{sender}`)"].join("")),
    ).toEqual([])
    expect(avoidedProseIn("packages/tap/src/a.test.ts", 'write("told you so")')).toEqual([])
    expect(avoidedProseIn("packages/tap/src/a.ts", 'const kind = "told"')).toEqual([])
  })

  test.each(["tellDrops()", "#mayTell = 1", "const told = 2", "MUCH", "isTold", "expectMuch"])(
    "are found in %s",
    (code) => {
      expect(avoidedIdentifiersIn("a.ts", code)).toHaveLength(1)
    },
  )

  test.each(["retell()", "toldEm".slice(4), '"told"', "// tell", "stellar", "lookup", "untold"])(
    "%s is none",
    (code) => {
      expect(avoidedIdentifiersIn("a.ts", code)).toEqual([])
    },
  )
})

describe("checkTour", () => {
  test("finds functions that have moved, and files that are gone", () => {
    write("packages/tap/src/a.ts", "export class Side {\n  receive(budget: number): number {}\n  #take(room) {}\n}\n")
    write("docs/tour.md", "[`Side.receive`](../packages/tap/src/a.ts) [`#take`](../packages/tap/src/a.ts)\n")
    expect(checkTour(root)).toEqual([])
    write("docs/tour.md", "[`Side.send`](../packages/tap/src/a.ts) [`#give`](../packages/tap/src/b.ts)\n")
    expect(checkTour(root)).toEqual([
      "docs/tour.md: send isn't in ../packages/tap/src/a.ts",
      "docs/tour.md: ../packages/tap/src/b.ts isn't there",
    ])
  })
})

describe("placeholders", () => {
  test("are addresses that nobody can open", () => {
    const repository = { homepage: "https://a.invalid/", bugs: { url: "https://a.example/issues" }, repository: {} }
    expect(placeholders(repository)).toEqual(["homepage"])
    expect(placeholders({ ...repository, bugs: { url: "https://a.invalid/issues" } })).toEqual(["homepage", "bugs"])
  })
})

describe("checkDocuments", () => {
  test("accepts links to files, folders and headings", () => {
    const text = "# A `b` & c\n\n[a](b.md#the-second)[b](#a-b--c)[c](../src)[d](https://a.example/x)\n"
    const files = new Map([
      ["docs/a.md", text],
      ["docs/b.md", "## The second\n"],
      ["src/index.ts", ""],
    ])
    expect(brokenLinks(files)).toEqual([])
  })

  test.each([
    ["a file that isn't there", "[a](c.md)", "c.md isn't there"],
    ["a heading that isn't there", "[a](#third)", "has no heading #third"],
    ["an address of nobody", "[a](https://demiflow.invalid/)", "https://demiflow.invalid/ is a placeholder"],
  ])("refuses %s", (_, text, problem) => {
    expect(brokenLinks(new Map([["docs/a.md", text]])).join()).toContain(problem)
  })

  test("leaves code alone", () => {
    expect(brokenLinks(new Map([["a.md", "```js\n[a](b)\n```\nand `[a](b)`\n"]]))).toEqual([])
  })
})
