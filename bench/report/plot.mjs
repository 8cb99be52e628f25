// A plot of one group as SVG: a bar for each peer in each row, with the spread as a thin line over its end.
import { short } from "./numbers.mjs"

const WIDTH = 900
const LABEL_WIDTH = 370
const VALUE_WIDTH = 90
const BAR_HEIGHT = 12
const ROW_GAP = 14
const TOP = 70

/** Colours of the peers in order; the first is ours. Distinguishable with colour-blindness (Okabe and Ito). */
const colours = ["#0072b2", "#e69f00", "#56b4e9", "#999999", "#009e73", "#cc79a7", "#d55e00"]
const style = `
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.value { font-size: 10px }
.spread { stroke: #24292f; stroke-width: 1 }
.background { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .spread { stroke: #e6edf3 }
  .background { fill: #0d1117 }
}`

/** @param {string} title */
export function plotName(title) {
  return `${title
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "")}.svg`
}

/**
 * @param {string} title
 * @param {readonly import("./results.mjs").PeerName[]} peers
 * @param {readonly import("./results.mjs").Line[]} lines
 */
export function plot(title, peers, lines) {
  const parts = [
    `<text class="title" x="16" y="26">${escaped(title)}</text>`,
    ...peers.map(({ title }, index) => legend(title, index)),
    ...(lines.some(({ row }) => row.better === "less")
      ? [`<text x="${WIDTH - 16}" y="50" text-anchor="end">↓ less is better</text>`]
      : []),
  ]
  let y = TOP
  for (const { row, summaries } of lines) {
    const shown = summaries.flatMap((summary, index) => (summary === undefined ? [] : [{ summary, index }]))
    const height = Math.max(shown.length, 1) * BAR_HEIGHT
    parts.push(
      `<text x="${LABEL_WIDTH - 10}" y="${y + height / 2 + 4}" text-anchor="end">` +
        `${escaped([row.label, row.unit].filter(Boolean).join(", ") + (row.better === "less" ? " ↓" : ""))}</text>`,
    )
    const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / largest(lines, row)
    shown.forEach(({ summary, index }, place) => {
      parts.push(bar(summary, colours[index % colours.length], y + place * BAR_HEIGHT, scale))
    })
    y += height + ROW_GAP
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${style}\n</style>`,
    `<rect class="background" width="${WIDTH}" height="${y}"/>`,
    ...parts,
    "</svg>\n",
  ].join("\n")
}

/** @param {string} name @param {number} index */
function legend(name, index) {
  const x = 16 + index * 120
  const colour = colours[index % colours.length]
  return `<rect x="${x}" y="40" width="12" height="12" fill="${colour}"/><text x="${x + 18}" y="50">${escaped(name)}</text>`
}

/**
 * @param {import("../statistics.mjs").Summary} summary @param {string} colour @param {number} y @param {number} scale
 */
function bar({ median, smallest, largest }, colour, y, scale) {
  const at = (/** @type {number} */ value) => (LABEL_WIDTH + value * scale).toFixed(1)
  const middle = y + BAR_HEIGHT / 2 - 0.5
  return [
    `<rect x="${LABEL_WIDTH}" y="${y}" width="${Math.max(median * scale, 1).toFixed(1)}" height="${BAR_HEIGHT - 2}" fill="${colour}"/>`,
    `<line class="spread" x1="${at(smallest)}" x2="${at(largest)}" y1="${middle}" y2="${middle}"/>`,
    `<text class="value" x="${(Number(at(largest)) + 5).toFixed(1)}" y="${y + BAR_HEIGHT - 3}">${short(median)}</text>`,
  ].join("")
}

/**
 * The value that fills the plot's width. Rates of one unit share a scale; times and sizes may be too far apart for
 * that.
 * @param {readonly import("./results.mjs").Line[]} lines
 * @param {import("../cases.mjs").Row} row
 */
function largest(lines, row) {
  const alike = lines.filter((line) => line.row === row || (row.better === "more" && line.row.unit === row.unit))
  const values = alike.flatMap(({ summaries }) => summaries.map((summary) => summary?.largest ?? 0))
  return Math.max(...values) || 1
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
}
