// Checks that no tracked file names a path that exists on one machine only, or the host of a package
// registry: a checkout must work in any place, with any configured registry.
import { execFileSync } from "node:child_process"
import { readFileSync, statSync } from "node:fs"
import { join } from "node:path"

/** Forbidden patterns and their names. Written so that this file does not match itself. */
const forbidden = [
  { what: "a folder of one machine", pattern: /(?<![\w.~$}-])\/(?:work|home\/\w+|Users\/\w+)\/[\w.-]+/ },
  {
    what: "the host of a package registry",
    pattern: /\b(?:registry|deb|security)\.(?:[a-z0-9-]+\.)+(?:org|com|net|dev|io)\b/,
  },
  { what: "the host of a package registry", pattern: /\b(?:npm|pypi|files)\.(?:pkg|pythonhosted|yarnpkg)\.[a-z]+\b/ },
]

/**
 * @param {string} text
 * @returns {string[]} The problems, with line numbers.
 */
export function forbiddenIn(text) {
  return text.split("\n").flatMap((line, index) =>
    forbidden.flatMap(({ what, pattern }) => {
      const found = pattern.exec(line)
      return found ? [`line ${index + 1}: ${what}: ${found[0]}`] : []
    }),
  )
}

/**
 * The problems of the files that git tracks below `root`, one sentence each; none if all is well.
 * @param {string} root
 * @returns {string[]}
 */
export function checkTrackedFiles(root) {
  const files = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" }).split("\0").filter(Boolean)
  return files.flatMap((file) => {
    const path = join(root, file)
    // Deleted but not committed, or a submodule or link to a folder.
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return []
    const text = readFileSync(path)
    if (text.includes(0)) return []
    return forbiddenIn(text.toString("utf8")).map((problem) => `${file}, ${problem}`)
  })
}
