// Checks the published declarations as the strictest program sees them: it imports every entry of every package,
// and has the compiler check the declarations themselves.
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import ts from "typescript"
import { layers } from "../structure/layers.mjs"

/** How programs find modules. */
const resolutions = {
  nodenext: { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
  bundler: { module: ts.ModuleKind.Preserve, moduleResolution: ts.ModuleResolutionKind.Bundler },
}

/** Programs: what they import, and what the compiler knows of where they run. */
const programs = [
  { name: "node", types: ["node"], lib: ["lib.es2022.d.ts"], imports: () => true },
  { name: "page", types: [], lib: ["lib.es2022.d.ts", "lib.dom.d.ts"], imports: isPortable },
]

/**
 * True for an entry that a page can use. The compliance suites are for vitest, which needs Node.js.
 * @param {string} entry
 */
function isPortable(entry) {
  const [, name = "", ...below] = entry.split("/")
  return layers[name]?.portable === true && below.length === 0
}

/**
 * The problems of the packages' declarations, one sentence each; none if all is well.
 * @param {string} root
 * @param {ReadonlyMap<string, string>} archives the packed packages, by name
 * @param {readonly string[]} entries what can be imported, such as `@demiflow/core`
 * @returns {string[]}
 */
export function problemsOfDeclarations(root, archives, entries) {
  const project = mkdtempSync(join(tmpdir(), "demiflow-types-"))
  try {
    for (const [name, archive] of archives) {
      const folder = join(project, "node_modules", name)
      mkdirSync(folder, { recursive: true })
      execFileSync("tar", ["-xzf", archive, "-C", folder, "--strip-components=1"])
    }
    mkdirSync(join(project, "node_modules", "@types"))
    for (const name of ["@types/node", "vitest"]) {
      symlinkSync(join(root, "node_modules", name), join(project, "node_modules", name))
    }
    writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }\n')
    return programs.flatMap(({ name, types, lib, imports }) => {
      const file = join(project, `${name}.ts`)
      const lines = entries.filter(imports).map((entry, index) => `export * as entry${index} from "${entry}"\n`)
      writeFileSync(file, lines.join(""))
      return Object.entries(resolutions).flatMap(([resolution, options]) =>
        mistakes(file, { ...options, types, lib, typeRoots: [join(project, "node_modules", "@types")] }).map(
          (problem) => `${name}, ${resolution}: ${problem}`,
        ),
      )
    })
  } finally {
    rmSync(project, { recursive: true, force: true })
  }
}

/**
 * @param {string} file
 * @param {ts.CompilerOptions} options
 */
function mistakes(file, options) {
  const program = ts.createProgram([file], {
    target: ts.ScriptTarget.ES2022,
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
    ...options,
  })
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => {
    const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n")
    if (diagnostic.file === undefined || diagnostic.start === undefined) return text
    const { line } = diagnostic.file.getLineAndCharacterOfPosition(diagnostic.start)
    return `${diagnostic.file.fileName.replace(/.*\/node_modules\//, "")}:${line + 1}: ${text}`
  })
}
