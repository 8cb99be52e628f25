// npm run api: writes what every package exports, with its types, into api/NAME.api.md. `npm run check:api` fails
// instead if a file differs, so that each change of the public interfaces is seen in review. Build first.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { CompilerState, Extractor, ExtractorConfig, ExtractorLogLevel } from "@microsoft/api-extractor"
import { workspaces } from "../structure/packages.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))
const reports = join(root, "api")
const isCheck = process.argv.includes("--check")

/**
 * The entries of the published packages that have declarations.
 * @returns {{ name: string, folder: string, declarations: string }[]}
 */
function entries() {
  return workspaces(root)
    .filter(({ manifest }) => !manifest.private)
    .flatMap(({ folder, manifest }) =>
      Object.entries(manifest.exports ?? {}).flatMap(([entry, conditions]) => {
        if (typeof conditions !== "object" || conditions?.types === undefined) return []
        const name = [...manifest.name.split("/").slice(1), ...entry.split("/").slice(1)].join("-")
        return [{ name, folder: join(root, folder), declarations: join(root, folder, conditions.types) }]
      }),
    )
}

/**
 * @param {ReturnType<typeof entries>[number]} entry
 * @param {string} reportFolder
 */
function configurationOf({ name, folder, declarations }, reportFolder) {
  return ExtractorConfig.prepare({
    configObject: {
      projectFolder: folder,
      newlineKind: "lf",
      mainEntryPointFilePath: declarations,
      compiler: {
        overrideTsconfig: {
          compilerOptions: {
            target: "es2022",
            lib: ["es2022", "esnext.disposable"],
            module: "nodenext",
            moduleResolution: "nodenext",
            types: ["node"],
            typeRoots: [join(root, "node_modules", "@types")],
            strict: true,
            skipLibCheck: true,
          },
          files: [declarations],
        },
      },
      apiReport: { enabled: true, reportFileName: `${name}.api.md`, reportFolder, reportTempFolder: reportFolder },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
        extractorMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
        tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(folder, "package.json"),
  })
}

/** @param {string} folder @param {string} file */
function textOf(folder, file) {
  try {
    return readFileSync(join(folder, file), "utf8")
  } catch {
    return ""
  }
}

const written = mkdtempSync(join(tmpdir(), "demiflow-api-"))
try {
  const all = entries()
  const configurations = all.map((entry) => configurationOf(entry, written))
  // One program for all packages: they refer to each other.
  const [first, ...others] = configurations
  const compilerState = CompilerState.create(first, {
    additionalEntryPoints: others.map(({ mainEntryPointFilePath }) => mainEntryPointFilePath),
  })
  for (const configuration of configurations) {
    Extractor.invoke(configuration, {
      compilerState,
      localBuild: true,
      messageCallback: (message) => {
        message.handled = true
        if (message.logLevel === "error") throw new Error(message.text)
      },
    })
  }

  mkdirSync(reports, { recursive: true })
  const files = new Set([...readdirSync(reports), ...readdirSync(written)].filter((file) => file.endsWith(".api.md")))
  const changed = [...files].sort().filter((file) => textOf(written, file) !== textOf(reports, file))
  for (const file of changed) {
    if (isCheck) console.log(`api/${file} differs from what the package exports`)
    else if (textOf(written, file) === "") rmSync(join(reports, file))
    else writeFileSync(join(reports, file), textOf(written, file))
  }
  if (isCheck && changed.length > 0) console.log("If that is intended: npm run build && npm run api, and commit api/")
  console.log(`${files.size} entries, ${changed.length} ${isCheck ? "differ" : "written"}`)
  process.exitCode = isCheck && changed.length > 0 ? 1 : 0
} finally {
  rmSync(written, { recursive: true, force: true })
}
