// What every published package.json repeats. It is derived from the package.json of the repository.

/** @typedef {Record<string, unknown>} Manifest */

/** Taken over as they are. */
const shared = ["license", "author", "homepage", "bugs", "engines"]

/** The order in which a package.json begins. */
const order = ["name", "version", "description", "keywords", "homepage", "bugs", "repository", "license", "author"]

/**
 * The package.json of a published package as it has to be: `manifest` with everything that the packages share.
 * @param {Manifest} root the repository's package.json
 * @param {string} folder of the package, from the root
 * @param {Manifest} manifest
 * @returns {Manifest}
 */
export function withMetadata(root, folder, manifest) {
  const scripts = /** @type {Record<string, string> | undefined} */ (manifest.scripts)
  const files = /** @type {string[] | undefined} */ (manifest.files)
  const above = folder.split("/").map(() => "..")
  /** @type {Manifest} */
  const complete = {
    ...manifest,
    ...Object.fromEntries(shared.map((field) => [field, root[field]])),
    repository: { .../** @type {object} */ (root.repository), directory: folder },
    publishConfig: { access: "public", .../** @type {object} */ (manifest.publishConfig) },
  }
  // What is packed is what the sources say now.
  if (scripts?.build !== undefined) {
    complete.scripts = { ...scripts, prepack: `npm run --prefix ${above.join("/")} build -- --filter=${manifest.name}` }
  }
  if (files !== undefined) complete.files = [...files.filter((file) => file !== "CHANGELOG.md"), "CHANGELOG.md"]
  const first = order.filter((field) => field in complete)
  return Object.fromEntries(
    [...first, ...Object.keys(complete).filter((field) => !order.includes(field))].map((field) => [
      field,
      complete[field],
    ]),
  )
}

/**
 * A package.json as it is written.
 * @param {Manifest} manifest
 */
export function textOf(manifest) {
  return `${JSON.stringify(manifest, undefined, 2)}\n`
}

/**
 * The fields of the repository's package.json that are not yet addresses which somebody could open.
 * @param {Manifest} root
 * @returns {string[]}
 */
export function placeholders(root) {
  return ["homepage", "bugs", "repository"].filter((field) => /\.invalid\b/.test(JSON.stringify(root[field])))
}
