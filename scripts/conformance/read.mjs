// Reads the requirements of RFCs that the code cites beside its branches, and the tests that hold them.
//
// In code:   // RFC 4861 6.1.2 (hop-limit) MUST: an advertisement with another hop limit than 255 is discarded
// In tests:  // RFC 4861 6.1.2 (hop-limit)     on the lines above the test, the group of tests, or the row of a table
//
// The word in parentheses distinguishes requirements of one section; it may be absent. A section is a number, or the
// name of a requirement (REQ-1). A requirement may continue on the next lines, each of which begins with `//   `.
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

const levels = "MUST NOT|MUST|SHOULD NOT|SHOULD|MAY"
const name = String.raw`RFC (\d+) ([\w.-]+)(?: \(([\w -]+)\))?`
const anyName = String.raw`RFC \d+ [\w.-]+(?: \([\w -]+\))?`
const requirementPattern = new RegExp(`^\\s*// ${name} (${levels}): (.+)$`)
const citationPattern = new RegExp(`^\\s*// ${anyName}(?:, ${anyName})*$`)
const oneCitation = new RegExp(name, "g")

/**
 * @typedef {object} Named
 * @property {number} rfc
 * @property {string} section
 * @property {string} key Empty if the section's only requirement is meant.
 *
 * @typedef {Named & { level: string, text: string, file: string }} Requirement
 * @typedef {Named & { file: string, title: string }} Citation
 * @typedef {Named & { level: string, text: string, reason: string }} Omission
 */

/** @param {Named} named */
export const nameOf = ({ rfc, section, key }) => `RFC ${rfc} ${section}${key ? ` (${key})` : ""}`

/**
 * The requirements in a source file.
 * @param {string} file
 * @param {string} text
 * @returns {Requirement[]}
 */
export function requirementsIn(file, text) {
  const lines = text.split("\n")
  return lines.flatMap((line, index) => {
    const found = requirementPattern.exec(line)
    if (found === null) return []
    const [, rfc, section, key = "", level, first] = found
    let whole = first
    for (let next = index + 1; /^\s*\/\/ {3}\S/.test(lines[next] ?? ""); next++)
      whole += ` ${lines[next].trim().slice(5)}`
    return [{ rfc: Number(rfc), section, key, level, text: whole.replace(/\.$/, ""), file }]
  })
}

/**
 * The title of what begins on a line: of a test, of a group of tests, or the first text of a table's row.
 * @param {readonly string[]} lines
 * @param {number} start
 */
function titleAt(lines, start) {
  const title = /(?:^|[([\s])(["'`])((?:(?!\1).)+)\1/
  const end = /^\s*\]?(?:.*)\)\((["'`])(.+?)\1/
  if (!/\.each/.test(lines[start]))
    return title.exec(lines[start])?.[2] ?? title.exec(lines[start + 1] ?? "")?.[2] ?? ""
  // A table's title follows the table, or stands on its only line.
  for (let index = start; index < Math.min(lines.length, start + 60); index++) {
    const found = end.exec(lines[index]) ?? (/\]?\)\($/.test(lines[index]) ? title.exec(lines[index + 1]) : null)
    if (found !== null) return found[2]
  }
  return ""
}

/**
 * The citations in a file of tests.
 * @param {string} file
 * @param {string} text
 * @returns {Citation[]}
 */
export function citationsIn(file, text) {
  const lines = text.split("\n")
  return lines.flatMap((line, index) => {
    if (!citationPattern.test(line)) return []
    let next = index + 1
    while (/^\s*\/\//.test(lines[next] ?? "")) next++
    const title = titleAt(lines, next)
    return [...line.matchAll(oneCitation)].map(([, rfc, section, key = ""]) => ({
      rfc: Number(rfc),
      section,
      key,
      file,
      title,
    }))
  })
}

/**
 * Everything that the repository at `root` says about conformance.
 * @param {string} root
 */
export function readConformance(root) {
  const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "packages"], {
    cwd: root,
    encoding: "utf8",
  })
    .split("\0")
    .filter((file) => file.endsWith(".ts") && existsSync(join(root, file)))
  /** @type {Requirement[]} */
  const requirements = []
  /** @type {Citation[]} */
  const citations = []
  for (const file of files) {
    const text = readFileSync(join(root, file), "utf8")
    if (file.endsWith(".test.ts")) citations.push(...citationsIn(file, text))
    else requirements.push(...requirementsIn(file, text))
  }
  /** @type {{ titles: Record<string, string>, omitted: Omission[] }} */
  const { titles, omitted } = JSON.parse(readFileSync(join(root, "docs/conformance-omitted.json"), "utf8"))
  return { requirements, citations, titles, omitted }
}
