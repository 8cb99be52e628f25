import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { checkImports } from "./imports.mjs"
import { checkPackages } from "./packages.mjs"
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
    write("packages/tcp/src/index.test.ts", 'import "node:fs"\nimport "@demiflow/testkit"\nimport "vitest"\n')
    write("apps/pasta/src/main.ts", 'import "@demiflow/sys"\nimport "@demiflow/tcp"\n')
    expect(checkImports(root)).toEqual([])
  })

  test.each([
    ["core that imports flow", "packages/core/src/a.ts", 'import "@demiflow/flow"', "not below core"],
    ["core that imports anything", "packages/core/src/a.ts", 'import "ipaddr.js"', "core imports nothing"],
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

describe("checkPackages", () => {
  const manifest = {
    name: "@demiflow/core",
    version: "0.0.0",
    description: "Words",
    license: "MIT",
    type: "module",
    engines: { node: ">=20.19" },
    exports: {},
    files: [],
    scripts: { build: "tsup", test: "vitest", typecheck: "tsc" },
  }

  function problemsOfCore(): string[] {
    return checkPackages(root).filter((problem) => problem.startsWith("packages/core "))
  }

  beforeEach(() => {
    write("packages/core/package.json", JSON.stringify(manifest))
    write("packages/core/README.md", "# Core\n\n```ts\nconsole.log(1)\n```\n")
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
    ]) {
      expect(problems).toContain(what)
    }
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
    // Put together, so that this file itself has none of the words that are looked for.
    const alike = [["", "work.txt"].join("/"), [".", "work", "x"].join("/")].join(" ")
    expect(forbiddenIn(`/proc/self/ns/net /tmp/x /home ${alike} www.example.org`)).toEqual([])
  })
})
