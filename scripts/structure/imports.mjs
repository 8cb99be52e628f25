// Checks that imports point downwards, that they go through what a package exports, and that packages
// which must run anywhere use nothing of Node.js.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { builtinModules } from "node:module"
import { dirname, join, relative, resolve, sep } from "node:path"
import ts from "typescript"
import { builtFrom, forTests, layers, pureFolders } from "./layers.mjs"

const scope = "@demiflow/"
const ignored = new Set(["node_modules", "dist", "build", "coverage", ".turbo"])

/**
 * The TypeScript and JavaScript files below a folder.
 * @param {string} folder
 * @returns {string[]}
 */
function sourceFiles(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder).flatMap((name) => {
    if (ignored.has(name)) return []
    const path = join(folder, name)
    if (statSync(path).isDirectory()) return sourceFiles(path)
    return /\.[cm]?[jt]s$/.test(name) ? [path] : []
  })
}

/**
 * The imports of a file: static and dynamic imports, re-exports, `require`, types included.
 * @param {string} file
 */
function importsOf(file) {
  return ts.preProcessFile(readFileSync(file, "utf8"), true, true).importedFiles.map((found) => found.fileName)
}

/** @param {string} specifier */
function packageOf(specifier) {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/")
}

/** @param {string} specifier */
function isBuiltin(specifier) {
  return specifier.startsWith("node:") || builtinModules.includes(specifier)
}

/**
 * The problems of the repository at `root`, one sentence each; none if all is well.
 * @param {string} root
 * @returns {string[]}
 */
export function checkImports(root) {
  /** @type {string[]} */
  const problems = []
  const packagesFolder = join(root, "packages")
  for (const name of existsSync(packagesFolder) ? readdirSync(packagesFolder) : []) {
    const folder = join(packagesFolder, name)
    if (!existsSync(join(folder, "package.json"))) continue
    const layer = layers[name]
    if (layer === undefined) {
      problems.push(`packages/${name} has no place yet: say in scripts/structure/layers.mjs what it may import`)
      continue
    }
    const portable = join(root, "tsconfig.portable.json")
    if (layer.portable && existsSync(portable) && !readFileSync(portable, "utf8").includes(`"packages/${name}/src"`)) {
      problems.push(`packages/${name} is not in tsconfig.portable.json, but must run without Node.js`)
    }
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
    for (const dependency of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
      if (dependency.startsWith(scope) && !layer.imports.includes(dependency.slice(scope.length))) {
        problems.push(`packages/${name}/package.json depends on ${dependency}, which is not below it`)
      }
    }
    const usesTestkit = name === "testkit" || !builtFrom("testkit").includes(name)
    for (const file of sourceFiles(join(folder, "src"))) {
      const isTest = forTests.files.test(file)
      const allowed = isTest
        ? [...layer.imports, ...(forTests.packages[name] ?? []), ...(usesTestkit ? forTests.withTestkit : [])]
        : layer.imports
      const where = relative(root, file)
      for (const specifier of importsOf(file)) {
        if (specifier.startsWith(".")) {
          const path = resolve(dirname(file), specifier)
          if (!path.startsWith(folder + sep) && !isSharedByTests(file, path)) {
            problems.push(`${where} imports ${specifier}, a file outside its package: import the package instead`)
          }
        } else if (isBuiltin(specifier)) {
          if (layer.portable && !isTest) {
            problems.push(`${where} imports ${specifier}, but ${name} must run without Node.js`)
          }
        } else if (specifier.startsWith(scope)) {
          const imported = packageOf(specifier).slice(scope.length)
          if (imported !== name && !allowed.includes(imported)) {
            problems.push(`${where} imports ${scope}${imported}, which is not below ${name}`)
          } else if (!isExported(root, imported, specifier)) {
            problems.push(`${where} imports ${specifier}, which ${scope}${imported} does not export`)
          }
        } else if (name === "core" && !isTest) {
          problems.push(`${where} imports ${specifier}, but core imports nothing`)
        }
      }
    }
  }
  return [...problems, ...checkPureFolders(root), ...checkOutsiders(root)]
}

/**
 * True if a test imports a fixture, or helpers of tests, which no package exports.
 * @param {string} file
 * @param {string} imported
 */
function isSharedByTests(file, imported) {
  return forTests.files.test(file) && forTests.files.test(imported)
}

/**
 * A pure folder imports nothing from outside.
 * @param {string} root
 * @returns {string[]}
 */
function checkPureFolders(root) {
  return Object.entries(pureFolders).flatMap(([name, { tests }]) => {
    const folder = join(root, name)
    return sourceFiles(folder).flatMap((file) =>
      importsOf(file).flatMap((specifier) => {
        if (specifier.startsWith(".") && isInside(resolve(dirname(file), specifier), folder)) return []
        if (forTests.files.test(file) && tests.includes(specifier)) return []
        return [`${relative(root, file)} imports ${specifier}, but ${name} imports nothing from outside`]
      }),
    )
  })
}

/**
 * Applications, examples and end-to-end tests may import every package, through its exports.
 * @param {string} root
 * @returns {string[]}
 */
function checkOutsiders(root) {
  return ["apps", "examples", "e2e", "bench"].flatMap((top) =>
    sourceFiles(join(root, top)).flatMap((file) =>
      importsOf(file).flatMap((specifier) => {
        const where = relative(root, file)
        const path = resolve(dirname(file), specifier)
        if (specifier.startsWith(".") && isInside(path, join(root, "packages")) && !isSharedByTests(file, path)) {
          return [`${where} imports ${specifier}, a file of a package: import the package instead`]
        }
        if (specifier.startsWith(scope) && !isExported(root, packageOf(specifier).slice(scope.length), specifier)) {
          return [`${where} imports ${specifier}, which is not exported`]
        }
        return []
      }),
    ),
  )
}

/**
 * @param {string} path
 * @param {string} folder
 */
function isInside(path, folder) {
  return path.startsWith(folder + sep)
}

/**
 * True if the package `name` lists the target of `specifier` in its `exports`.
 * @param {string} root
 * @param {string} name
 * @param {string} specifier
 */
function isExported(root, name, specifier) {
  const path = ["packages", "apps"].map((top) => join(root, top, name, "package.json")).find(existsSync)
  if (path === undefined) return false
  const entry = `.${specifier.slice(scope.length + name.length)}`
  return entry in (JSON.parse(readFileSync(path, "utf8")).exports ?? {})
}
