// The section "Install" of a package's README: derived from package.json and from what the examples import.
import { layers } from "../structure/layers.mjs"

/** @typedef {import("./metadata.mjs").Manifest} Manifest */

const scope = "@demiflow/"

/**
 * The packages that a README's examples import, without the package itself and what comes with Node.js.
 * @param {string} name
 * @param {string} readme
 */
function alsoNeeded(name, readme) {
  const blocks = [...readme.matchAll(/^```ts\b[^\n]*\n(.*?)^```$/gms)].map((match) => match[1] ?? "").join("\n")
  const imported = [...blocks.matchAll(/\bfrom "((?:@[^"/]+\/)?[^"/]+)(?:\/[^"]*)?"/g)].map((match) => match[1] ?? "")
  return [...new Set(imported)].filter((other) => other !== name && !other.startsWith("node:")).sort()
}

/**
 * Where a package runs, in a sentence.
 * @param {Manifest} manifest
 */
function compatibility({ name, os, engines }) {
  const { node = "" } = /** @type {{ node?: string }} */ (engines ?? {})
  const runtime = `Node.js ${node.replace(">=", "")} or later`
  if (layers[`${name}`.slice(scope.length)]?.portable) return `Runs in ${runtime}, and in browsers: no native code.`
  return Array.isArray(os) && os.join() === "linux"
    ? `Runs on Linux, in ${runtime}.`
    : `Runs in ${runtime}, on any system.`
}

/**
 * The section, which ends before the next heading.
 * @param {Manifest} manifest
 * @param {string} readme
 */
function installSection(manifest, readme) {
  const name = `${manifest.name}`
  const install = name === "@demiflow/testkit" ? "npm install --save-dev" : "npm install"
  const others = alsoNeeded(name, readme)
  const needed =
    others.length === 0
      ? []
      : ["The examples below also need:", "", "```sh", `${install} ${others.join(" ")}`, "```", ""]
  return [
    "## Install",
    "",
    "```sh",
    `${install} ${name}`,
    "```",
    "",
    `${compatibility(manifest)} An ECMAScript module, with types.`,
    "",
    ...needed,
    "",
  ].join("\n")
}

/**
 * The README of a package as it has to be. The section stands before all others.
 * @param {Manifest} manifest
 * @param {string} readme
 * @returns {string}
 */
export function withInstallSection(manifest, readme) {
  const section = installSection(manifest, readme).replace(/\n+$/, "\n\n")
  const rest = readme.replace(/^## Install\n.*?(?=^## )/ms, "")
  return rest.replace(/^(?=## )/m, () => section)
}
