// For which machines the native part of @demiflow/sys is compiled, and the packages that carry it.
import { readFileSync } from "node:fs"
import { join } from "node:path"

/**
 * @typedef {object} Target
 * @property {string} architecture as Node.js names it
 * @property {string} debian the architecture as Debian names it
 * @property {string} machine as compilers name it
 * @property {"gnu" | "musl"} libc
 */

const machines = [
  { architecture: "x64", debian: "amd64", machine: "x86_64" },
  { architecture: "arm64", debian: "arm64", machine: "aarch64" },
]

/** @type {readonly Target[]} */
export const targets = machines.flatMap((each) => [
  { ...each, libc: "gnu" },
  { ...each, libc: "musl" },
])

/** The addon, and the programs beside it. */
export const programs = ["become", "namespace-helper"]
export const addon = "demiflow.node"

/** @param {Target} target */
export function packageName({ architecture, libc }) {
  return `@demiflow/sys-linux-${architecture}-${libc}`
}

/**
 * package.json of a target's package: everything that isn't particular to the target is as in @demiflow/sys.
 * @param {string} root the repository
 * @param {Target} target
 */
export function manifestOf(root, target) {
  const sys = JSON.parse(readFileSync(join(root, "packages/sys/package.json"), "utf8"))
  const { version, license, author, repository, homepage, bugs, engines, os, publishConfig } = sys
  return {
    name: packageName(target),
    version,
    description: `The native part of @demiflow/sys, compiled for Linux on ${target.architecture} with ${
      target.libc === "gnu" ? "glibc" : "musl"
    }`,
    license,
    author,
    repository,
    homepage,
    bugs,
    engines,
    os,
    cpu: [target.architecture],
    libc: [target.libc === "gnu" ? "glibc" : "musl"],
    main: addon,
    files: [addon, ...programs, "README.md", "NOTICE"],
    // Executables can't be started from inside an archive.
    preferUnplugged: true,
    publishConfig,
  }
}

/**
 * The same packages as @demiflow/sys names them.
 * @param {string} version
 */
export function optionalDependencies(version) {
  return Object.fromEntries(targets.map((target) => [packageName(target), version]))
}
