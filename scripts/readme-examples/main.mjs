// npm run check:readme: the examples of every package's README and of the guides are type-checked and run, against the
// packages as they are published (build first). Each block of TypeScript is a complete program that ends
// by itself within a few seconds, and fails by throwing. A word after the language changes the run:
//
//   ```ts               runs as it is
//   ```ts namespace     runs as root of new user and network namespaces, for code that needs their privileges
import { spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"
import { workspaces } from "../structure/packages.mjs"
import { readmeExamples } from "./extract.mjs"

const timeLimit = 30_000
const guides = "docs/guides"
const root = fileURLToPath(new URL("../..", import.meta.url))
// Inside the repository, so that the packages are resolved as for any program in it.
const folder = join(root, "node_modules", ".cache", "readme-examples")

const examples = [
  { name: "demiflow", readme: "README.md" },
  ...workspaces(root).map((workspace) => ({
    name: workspace.folder.replaceAll("/", "-"),
    readme: join(workspace.folder, "README.md"),
  })),
  ...readdirSync(join(root, guides)).map((file) => ({ name: `guide-${file}`, readme: join(guides, file) })),
].flatMap(({ name, readme }) =>
  readmeExamples(join(root, readme)).map((example) => ({
    ...example,
    where: `${readme}:${example.line}`,
    source: join(folder, `${name}-${example.line}.ts`),
    program: join(folder, `${name}-${example.line}.js`),
  })),
)

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
for (const { source, code } of examples) writeFileSync(source, code)

const compilation = ts.createProgram(
  examples.map((example) => example.source),
  {
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.es2022.d.ts"],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ["node"],
    typeRoots: [join(root, "node_modules", "@types")],
    strict: true,
    skipLibCheck: true,
  },
)
compilation.emit()

let failures = 0
for (const { where, source, program, words } of examples) {
  const mistakes = ts.getPreEmitDiagnostics(compilation, compilation.getSourceFile(source))
  const command = words.includes("namespace") ? ["unshare", "--map-root-user", "--net"] : []
  const [file = "", ...parameters] = [...command, process.execPath, program]
  const run =
    mistakes.length > 0 ? undefined : spawnSync(file, parameters, { cwd: root, encoding: "utf8", timeout: timeLimit })
  if (run?.status === 0) {
    console.log(`passed  ${where}`)
    continue
  }
  failures += 1
  console.log(`failed  ${where}`)
  if (run === undefined) {
    console.log(
      ts.formatDiagnostics(mistakes, {
        getCanonicalFileName: (name) => name,
        getCurrentDirectory: () => root,
        getNewLine: () => "\n",
      }),
    )
  } else {
    console.log(run.error?.message ?? `${run.stdout}${run.stderr}ended with ${run.signal ?? `status ${run.status}`}`)
  }
}
console.log(`${examples.length - failures} examples passed, ${failures} failed`)
process.exitCode = failures === 0 ? 0 : 1
