// Checks that the functions which docs/tour.md names are in the files that it links to.
import { existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"

const TOUR = "docs/tour.md"

/**
 * The problems of the tour of the repository at `root`, one sentence each; none if all is well.
 * @param {string} root
 * @returns {string[]}
 */
export function checkTour(root) {
  if (!existsSync(join(root, TOUR))) return []
  const text = readFileSync(join(root, TOUR), "utf8")
  return [...text.matchAll(/\[`([\w.#]+)`\]\(([^)#]+)\)/g)].flatMap(([, name, link]) => {
    const file = join(root, dirname(TOUR), link)
    if (!existsSync(file)) return [`${TOUR}: ${link} isn't there`]
    const source = readFileSync(file, "utf8")
    return name
      .split(/\.(?=#?\w)/)
      .filter((part) => !declares(source, part))
      .map((part) => `${TOUR}: ${part} isn't in ${link}`)
  })
}

/**
 * True if a source declares the class, the function or the method.
 * @param {string} source
 * @param {string} name
 */
function declares(source, name) {
  return new RegExp(`(?:\\b(?:class|function|const|interface) |^ +(?:async )?)${name}\\b *[(<={\\w]`, "m").test(source)
}
