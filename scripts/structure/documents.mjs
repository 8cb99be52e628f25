// Checks that links in documents lead somewhere: to a file or folder of the repository, to a heading.
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"

/**
 * Markdown without its code.
 * @param {string} text
 */
function prose(text) {
  return text.replace(/^```.*?^```$/gms, "").replace(/`[^`\n]*`/g, (code) => code.replace(/[[\]()]/g, ""))
}

/**
 * The fragments that lead to the headings of a document, as code hosts form them.
 * @param {string} text
 */
function headings(text) {
  /** @type {Map<string, number>} */
  const seen = new Map()
  return new Set(
    [...text.replace(/^```.*?^```$/gms, "").matchAll(/^#{1,6} (.*)$/gm)].map(([, title = ""]) => {
      const words = title.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase()
      const slug = words.replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-")
      const times = seen.get(slug) ?? 0
      seen.set(slug, times + 1)
      return times === 0 ? slug : `${slug}-${times}`
    }),
  )
}

/**
 * @param {ReadonlyMap<string, string>} files The files of the repository, with the text of those that are documents.
 * @returns {string[]}
 */
export function brokenLinks(files) {
  const folders = new Set([...files.keys()].flatMap((file) => foldersAbove(file)))
  return [...files].flatMap(([file, text]) => {
    if (!file.endsWith(".md")) return []
    return [...prose(text).matchAll(/\]\(([^()\s]+(?:\([^()]*\))?)\)/g)].flatMap(([, link = ""]) => {
      if (/^https?:/.test(link)) return /\.invalid\b/.test(link) ? [`${file}: ${link} is a placeholder`] : []
      if (/^[a-z]+:/.test(link)) return []
      const [path = "", fragment] = link.split("#")
      const target = path === "" ? file : posix.normalize(posix.join(posix.dirname(file), path)).replace(/\/$/, "")
      if (target !== "." && !files.has(target) && !folders.has(target)) return [`${file}: ${link} isn't there`]
      if (fragment === undefined || !target.endsWith(".md")) return []
      return headings(files.get(target) ?? "").has(fragment) ? [] : [`${file}: ${target} has no heading #${fragment}`]
    })
  })
}

/**
 * @param {string} file
 * @returns {string[]}
 */
function foldersAbove(file) {
  const folder = posix.dirname(file)
  return folder === "." ? [] : [folder, ...foldersAbove(folder)]
}

/**
 * The problems of the documents of the repository at `root`, one sentence each; none if all is well.
 * @param {string} root
 * @returns {string[]}
 */
export function checkDocuments(root) {
  const tracked = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  })
  const files = tracked.split("\0").filter((file) => file !== "" && existsSync(join(root, file)))
  return brokenLinks(
    new Map(files.map((file) => [file, file.endsWith(".md") ? readFileSync(join(root, file), "utf8") : ""])),
  )
}
