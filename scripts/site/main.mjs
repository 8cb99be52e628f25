// npm run docs: makes the site of the documentation in site/, and refuses a link that leads to no file of it.
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))
const site = join(root, "site")

/** @param {string} path A folder is its index. */
const isPage = (path) => isFile(path) || isFile(join(path, "index.html"))

/** @param {string} path */
const isFile = (path) => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false

/**
 * The links of a page that lead to no file. A link to a folder of the repository is one of them.
 * @param {string} page
 */
function deadLinks(page) {
  return [...readFileSync(page, "utf8").matchAll(/ (?:href|src)="([^"]*)"/g)]
    .map(([, link]) => decodeURIComponent(link.split("#")[0]))
    .filter((link) => link !== "" && !/^[a-z]+:/.test(link) && !isPage(join(dirname(page), link)))
}

rmSync(site, { recursive: true, force: true })
execFileSync("npx", ["typedoc", "--options", "typedoc.site.json"], { cwd: root, stdio: "inherit" })

const pages = readdirSync(site, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".html"))
for (const page of pages) {
  for (const link of deadLinks(join(site, page))) {
    console.error(`${relative(root, join(site, page))}: ${link} is not a file of the site`)
    process.exitCode = 1
  }
}
