// Results as Markdown, by themselves or between two marks of a document.
import { machineSentence } from "../machine.mjs"
import { times, withSpread } from "./numbers.mjs"
import { plotName } from "./plot.mjs"
import { comparedOf, explanation, linesByGroup } from "./results.mjs"

/**
 * @param {import("./results.mjs").Results} results
 * @param {readonly string[]} groups
 * @param {string | undefined} plots The path of the plots relative to the document; undefined without plots.
 */
export function markdown(results, groups, plots) {
  const { peers } = results
  const columns = [
    "",
    "unit",
    ...comparedOf(peers).map(({ title }) => `÷ ${title}`),
    ...peers.map(({ title }) => title),
  ]
  const rule = columns.map((_, index) => (index < 2 ? "---" : "---:"))
  const parts = linesByGroup(results, groups).map(({ title, lines }) => {
    const rows = lines.map(({ row, summaries, ratios }) => [
      row.label,
      row.unit,
      ...ratios.map(times),
      ...summaries.map(withSpread),
    ])
    const table = [columns, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")
    const plot = plots === undefined ? "" : `\n\n![${title}](${plots}/${plotName(title)})`
    return `### ${title}\n\n${table}${plot}`
  })
  const versions = peers.map(({ title, version }) => `${title}: ${version}`).join("; ")
  const complaints = results.complaints.map((complaint) => `- ${complaint}`).join("\n")
  return [`${machineSentence(results.machine)}. ${versions}.`, explanation(results), ...parts, complaints]
    .filter((part) => part !== "")
    .join("\n\n")
}

/**
 * @param {string} document
 * @param {import("../arguments.mjs").Measured} program
 * @param {string} text
 * @returns {string} The document with the text between its marks for the program, or the text alone if it has none.
 */
export function insert(document, program, text) {
  const first = `<!-- figures: ${program} -->`
  const begin = document.indexOf(first)
  const end = document.indexOf(`<!-- /figures: ${program} -->`)
  if (begin < 0 || end < begin) return `${text}\n`
  return `${document.slice(0, begin + first.length)}\n\n${text}\n\n${document.slice(end)}`
}
