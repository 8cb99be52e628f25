/**
 * Where the addon and the native programs beside it are. In this order:
 *
 * 1. What the program has named: a folder, or contents, and nothing else.
 * 2. `build` of this package: compiled on this machine, at installation or in the repository.
 * 3. An optional package with compiled files, for this architecture and one C library.
 *
 * Inside a bundle, this package is searched for from where the bundle lies. The runtime's own resolution, which follows
 * a package's exports, loads 20 modules first, so that package managers' usual layouts are searched here before:
 * optional packages are beside this one, or in its `node_modules`. Yarn's Plug'n'Play has only the runtime's.
 */
import { closeSync, existsSync, readFileSync, realpathSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { createUnnamedFile, pathOfDescriptor } from "./unnamed-file.ts"

const SCOPE = "@demiflow"
const PACKAGE = `${SCOPE}/sys`

/** C libraries, as the optional packages are named for them. */
const GNU = "gnu"
const MUSL = "musl"

/** Thrown when the addon can't be used. The message says what to do. */
export class NativeUnavailableError extends Error {
  readonly code = "ERR_NATIVE_UNAVAILABLE"

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "NativeUnavailableError"
  }
}

let named: string | undefined
let contentsOf: ((name: string) => Uint8Array) | undefined
/** Descriptors of files that were made of contents. */
const made = new Map<string, number>()

/**
 * Names the folder that holds copies of `demiflow.node` and the programs `become` and `namespace-helper`, for a bundled
 * program without the package `@demiflow/sys` nearby. Only before the addon is first used.
 */
export function useNativeFolder(folder: string): void {
  named = folder
}

/**
 * Hands over the contents of these files, for a program that is one file itself. Each is written to a file without a
 * name when it is first needed. Only before the addon is first used.
 */
export function useNativeContents(contents: (name: string) => Uint8Array): void {
  contentsOf = contents
}

/** This file's location. A bundle that isn't an ES module has no `import.meta.url`, and a `__filename`. */
function here(): string | URL {
  return typeof __filename === "string" ? pathToFileURL(__filename) : import.meta.url
}

export function requireFromHere(): NodeJS.Require {
  return createRequire(here())
}

/** Path of a file; undefined if there is none. */
export function locateNativeFile(name: string): string | undefined {
  if (contentsOf !== undefined) {
    const path = make(name, contentsOf)
    return typeof path === "string" ? path : undefined
  }
  if (named !== undefined) return firstThatExists([join(named, name)])
  const require = requireFromHere()
  const beside = fileURLToPath(new URL(`../build/${name}`, here()))
  if (existsSync(beside) && isThisPackage(new URL("../package.json", here()))) return beside
  const home = packageFolder(require)
  if (home === undefined) return undefined
  return firstThatExists([join(home, "build", name)]) ?? prebuilt(home, name)
}

/** Path of a native file. Throws {@link NativeUnavailableError} if there is none. */
export function requiredNativeFile(name: string): string {
  if (contentsOf !== undefined) {
    const path = make(name, contentsOf)
    if (typeof path === "string") return path
    throw new NativeUnavailableError(
      `${name} can't be executed from any of the folders /dev/shm, /tmp and /var/tmp: ` +
        `one of them must allow it, and have space. The last one: ${path.message}`,
      { cause: path },
    )
  }
  const path = locateNativeFile(name)
  if (path !== undefined) return path
  throw new NativeUnavailableError(
    "The native part of @demiflow/sys isn't built: run `npm rebuild @demiflow/sys` (it needs a C compiler); " +
      `a bundled program calls useNativeFolder() with the folder of its copy of ${name}`,
  )
}

/** Returns the file's path, or why it can't be made. */
function make(name: string, contents: (name: string) => Uint8Array): string | Error {
  const descriptor = made.get(name) ?? createUnnamedFile(() => contents(name))
  if (descriptor instanceof Error) return descriptor
  made.set(name, descriptor)
  return pathOfDescriptor(descriptor)
}

/** Closes a file that was made of contents, once nobody opens it by its path any more. */
export function releaseNativeFile(name: string): void {
  const descriptor = made.get(name)
  if (descriptor === undefined) return
  made.delete(name)
  closeSync(descriptor)
}

/** False beside a bundle: what a folder `build` there has isn't of this package. */
function isThisPackage(manifest: URL): boolean {
  try {
    return JSON.parse(readFileSync(manifest, "utf8")).name === PACKAGE
  } catch {
    return false
  }
}

function packageFolder(require: NodeJS.Require): string | undefined {
  for (const folder of require.resolve.paths(PACKAGE) ?? []) {
    const candidate = join(folder, PACKAGE)
    if (existsSync(candidate)) return realpathSync(candidate)
  }
  const manifest = resolve(require, `${PACKAGE}/package.json`)
  return manifest && dirname(manifest)
}

function prebuilt(home: string, name: string): string | undefined {
  const packages = [GNU, MUSL].map((library) => `sys-linux-${process.arch}-${library}`)
  const nearby = packages.map((each) =>
    firstThatExists([join(home, "node_modules", SCOPE, each, name), join(home, "..", each, name)]),
  )
  const [gnu, musl] = nearby
  // Where an installer ignores the field `libc`, both are there.
  if (gnu !== undefined && musl !== undefined) return usesGnu() ? gnu : musl
  const require = createRequire(join(home, "package.json"))
  return gnu ?? musl ?? firstOf(packages, (each) => resolve(require, `${SCOPE}/${each}/${name}`))
}

/** `process.report`: other runtimes have none, and the types of Node.js lack a property. */
interface Reports {
  excludeNetwork?: boolean
  getReport(): object
}

/**
 * True if the runtime uses glibc, and if it doesn't report that. Takes milliseconds: without the part about the
 * network, for which a report asks name servers about the correspondents of all connections.
 */
function usesGnu(): boolean {
  const reports: Reports | undefined = process.report
  if (reports === undefined) return true
  const { excludeNetwork = false } = reports
  reports.excludeNetwork = true
  try {
    const { header } = reports.getReport() as { readonly header: { readonly glibcVersionRuntime?: string } }
    return header.glibcVersionRuntime !== undefined
  } finally {
    reports.excludeNetwork = excludeNetwork
  }
}

function resolve(require: NodeJS.Require, request: string): string | undefined {
  try {
    return require.resolve(request)
  } catch {
    return undefined
  }
}

function firstThatExists(paths: readonly string[]): string | undefined {
  return paths.find((path) => existsSync(path))
}

function firstOf<T>(values: readonly string[], find: (value: string) => T | undefined): T | undefined {
  for (const value of values) {
    const found = find(value)
    if (found !== undefined) return found
  }
  return undefined
}
