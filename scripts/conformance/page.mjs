// Writes docs/conformance.md from what the code and the tests cite, and finds what is missing.
import { nameOf } from "./read.mjs"

/** @param {string} text */
const cell = (text) => text.replaceAll("|", "\\|")

/** @param {string} path */
const link = (path) => `[${path.replace(/^packages\/([^/]+)\/src\//, "$1/")}](../${path})`

/**
 * @param {import("./read.mjs").Named} first
 * @param {import("./read.mjs").Named} second
 */
function inOrder(first, second) {
  const order = first.section.localeCompare(second.section, "en", { numeric: true })
  return first.rfc - second.rfc || order || (first.key < second.key ? -1 : Number(first.key > second.key))
}

/**
 * @param {ReturnType<typeof import("./read.mjs").readConformance>} found
 * @returns {string[]} What is missing, one sentence each.
 */
export function missingIn({ requirements, citations, titles, omitted }) {
  const held = new Set(citations.map(nameOf))
  const known = new Set(requirements.map(nameOf))
  const untested = requirements.filter(({ level, ...named }) => level.startsWith("MUST") && !held.has(nameOf(named)))
  const unknown = citations.filter((citation) => !known.has(nameOf(citation)))
  const rfcs = new Set([...requirements, ...omitted].map(({ rfc }) => rfc))
  return [
    ...untested.map((one) => `${one.file}: no test cites ${nameOf(one)}, which is a ${one.level}`),
    ...unknown.map((one) => `${one.file}: ${nameOf(one)} is cited by a test, and by no code`),
    ...citations.filter(({ title }) => title === "").map((one) => `${one.file}: no test below ${nameOf(one)}`),
    ...[...rfcs]
      .filter((rfc) => !(rfc in titles))
      .map((rfc) => `docs/conformance-omitted.json: RFC ${rfc} has no title`),
  ]
}

/**
 * @param {ReturnType<typeof import("./read.mjs").readConformance>} found
 * @returns {string}
 */
export function conformancePage({ requirements, citations, titles, omitted }) {
  const rfcs = [...new Set([...requirements, ...omitted].map(({ rfc }) => rfc))].sort((one, other) => one - other)
  const lines = [
    "# Conformance",
    "",
    "Requirements of RFCs that the code cites beside the branch that they decide, in the project's own words, with the tests",
    "that hold them; and requirements that are left out, with the reason. `npm run conformance` writes this page from the",
    "sources and from [conformance-omitted.json](conformance-omitted.json); `npm run check` refuses a stale page, and a MUST",
    "without a test. Where an RFC describes instead of requiring, as the older ones mostly do, its sentence stands as a MUST.",
    "",
    `${requirements.length} requirements of ${rfcs.length} RFCs; ${omitted.length} are left out.`,
  ]
  for (const rfc of rfcs) {
    lines.push("", `## RFC ${rfc}: ${titles[rfc]}`)
    const own = requirements.filter((one) => one.rfc === rfc).sort(inOrder)
    if (own.length > 0) lines.push("", "| section | | requirement | code | tests |", "| --- | --- | --- | --- | --- |")
    for (const one of own) {
      const tests = citations
        .filter((citation) => nameOf(citation) === nameOf(one))
        .map(({ file, title }) => `${link(file)}: ${title}`)
      lines.push(
        `| ${one.section} | ${one.level} | ${cell(one.text)} | ${link(one.file)} | ${cell([...new Set(tests)].join("<br>"))} |`,
      )
    }
    const left = omitted.filter((one) => one.rfc === rfc).sort(inOrder)
    if (left.length > 0)
      lines.push("", "Left out:", "", "| section | | requirement | reason |", "| --- | --- | --- | --- |")
    for (const one of left) lines.push(`| ${one.section} | ${one.level} | ${cell(one.text)} | ${cell(one.reason)} |`)
  }
  return `${lines.join("\n")}\n`
}
