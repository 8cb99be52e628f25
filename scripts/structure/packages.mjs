// Checks that every package has the files and fields that a user expects, and that a changeset or a
// change log announces it.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { textOf, withMetadata } from "../metadata/metadata.mjs"
import { withInstallSection } from "../metadata/readme.mjs"
import { readmeExamples } from "../readme-examples/extract.mjs"

/**
 * Every folder of `packages`, `apps` and `examples` that has a package.json.
 * @param {string} root
 */
export function workspaces(root) {
  return ["packages", "apps", "examples"]
    .filter((top) => existsSync(join(root, top)))
    .flatMap((top) => readdirSync(join(root, top)).map((name) => `${top}/${name}`))
    .filter((folder) => existsSync(join(root, folder, "package.json")))
    .map((folder) => ({ folder, manifest: JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) }))
}

/**
 * @param {string} root
 * @param {string} folder
 */
export function readmeOf(root, folder) {
  const file = join(root, folder, "README.md")
  return existsSync(file) ? readFileSync(file, "utf8") : undefined
}

/**
 * The packages that the changesets of the repository name.
 * @param {string} root
 */
function announced(root) {
  const folder = join(root, ".changeset")
  const files = existsSync(folder)
    ? readdirSync(folder).filter((name) => /\.md$/.test(name) && name !== "README.md")
    : []
  return new Set(
    files.flatMap((name) => {
      const header = readFileSync(join(folder, name), "utf8").split("---")[1] ?? ""
      return [...header.matchAll(/^["']?(@?[^"':\n]+)["']?:/gm)].map((match) => match[1])
    }),
  )
}

/**
 * The problems of the repository at `root`, one sentence each; none if all is well.
 * @param {string} root
 * @returns {string[]}
 */
export function checkPackages(root) {
  const changesets = announced(root)
  const all = workspaces(root)
  const repository = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  const version = all.find(({ manifest }) => !manifest.private)?.manifest.version
  const published = new Set(all.filter(({ manifest }) => !manifest.private).map(({ manifest }) => manifest.name))
  const versions = new Map(all.map(({ manifest }) => [manifest.name, manifest.version]))
  const unpublished = [...changesets].filter((name) => !published.has(name))
  const ofChangesets = unpublished.map((name) => `.changeset announces ${name}, which isn't published`)
  const ofPackages = all.flatMap(({ folder, manifest }) => {
    /** @type {string[]} */
    const problems = []
    /** @param {boolean} holds @param {string} problem */
    const expect = (holds, problem) => {
      if (!holds) problems.push(`${folder} ${problem}`)
    }
    const isFile = (/** @type {string} */ name) => existsSync(join(root, folder, name))

    expect(isFile("README.md"), "has no README.md")
    for (const [name, range] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
      if (!versions.has(name)) continue
      expect(range === `^${versions.get(name)}`, `asks for ${name} as "${range}": write "^${versions.get(name)}"`)
    }
    expect(manifest.license === "MIT", "does not say that its licence is MIT")
    expect(manifest.type === "module", 'is not an ES module: "type": "module"')
    expect(Boolean(manifest.description), "has no description")
    if (manifest.private) return problems

    expect(isFile("LICENSE"), "has no LICENSE")
    expect(
      textOf(withMetadata(repository, folder, manifest)) === textOf(manifest),
      "differs from the other packages in what all of them share: npm run metadata",
    )
    expect(manifest.version === version, `has the version ${manifest.version}, others have ${version}`)
    expect(manifest.keywords?.length >= 5, 'has fewer than five "keywords" by which people would find it')
    expect(Array.isArray(manifest.files), 'does not say which files are published: "files"')
    expect(Boolean(manifest.exports), 'has no "exports"')
    for (const script of ["build", "test", "typecheck"]) {
      expect(Boolean(manifest.scripts?.[script]), `has no script "${script}"`)
    }
    expect(
      changesets.has(manifest.name) || isFile("CHANGELOG.md"),
      "has never been announced: add a changeset (npm run changeset)",
    )
    const readme = readmeOf(root, folder)
    if (folder.startsWith("packages/") && readme !== undefined) {
      const examples = readmeExamples(join(root, folder, "README.md"))
      expect(examples.length > 0, "has no example in its README.md (a ```ts block)")
      expect(
        !examples.some(({ code }) => code.includes("Math.random")),
        "has an example with numbers that can be predicted: use CryptoRandom",
      )
      expect(
        withInstallSection(manifest, readme) === readme,
        "has a README.md whose installation is out of date: npm run metadata",
      )
    }
    return problems
  })
  return [...ofChangesets, ...ofPackages]
}
