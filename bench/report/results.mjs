// The results, as stored in the JSON file.
import { commandOf } from "../arguments.mjs"
import { ratio, summarize } from "../statistics.mjs"

/** @typedef {import("../cases.mjs").Row} Row */

/**
 * @typedef {object} Results
 * @property {import("../arguments.mjs").Measured} program
 * @property {import("../machine.mjs").Machine} machine
 * @property {{ rounds: number, measured: number, warm: number }} settings
 * @property {readonly PeerName[]} peers The first one is ours.
 * @property {(Row & { values: Record<string, number[]> })[]} rows The values by the names of the peers, one each round.
 * @property {string[]} complaints Measurements that failed, with reasons.
 */

/** @typedef {{ name: string, title: string, version: string, isCompared: boolean }} PeerName */

/**
 * A row for display.
 * @typedef {object} Line
 * @property {Row} row
 * @property {readonly (import("../statistics.mjs").Summary | undefined)[]} summaries One for each peer.
 * @property {readonly (number | undefined)[]} ratios One for each peer that ours is compared with, in the order of
 * `comparedOf`.
 */

/**
 * A peer's name in tables. A program that exists in several versions is named by the month of its version.
 * @param {import("../arguments.mjs").Measured} program
 * @param {{ name: string, version: string }} peer
 */
export function titleOf(program, { name, version }) {
  const [, year, month] = /\bgit(\d{4})(\d\d)\d\d\b/.exec(version) ?? []
  return year === undefined ? name : `${commandOf(program)} ${year}-${month}`
}

/**
 * The peers by which ours is divided. The direct path, last among the peers, comes first.
 * @param {readonly PeerName[]} peers
 */
export function comparedOf(peers) {
  return peers.filter(({ isCompared }) => isCompared).reverse()
}

/**
 * @param {Results} results
 * @param {Row} row
 * @returns {Line}
 */
export function lineOf({ peers, rows }, row) {
  const values = rows.find(({ group, label }) => group === row.group && label === row.label)?.values ?? {}
  const summaries = peers.map(({ name }) => summarize(values[name] ?? []))
  const ours = summaries[0]?.median
  const ratios = comparedOf(peers).map((peer) => ratio(ours, summaries[peers.indexOf(peer)]?.median, row.better))
  return { row, summaries, ratios }
}

/**
 * The rows of each group that isn't empty, in the groups' order.
 * @param {Results} results
 * @param {readonly string[]} groups
 */
export function linesByGroup(results, groups) {
  return groups.flatMap((title) => {
    const lines = results.rows.filter(({ group }) => group === title).map((row) => lineOf(results, row))
    return lines.length > 0 ? [{ title, lines }] : []
  })
}

/** @param {Results} results */
export function explanation({ settings, peers }) {
  const { rounds, measured } = settings
  return (
    `Medians of ${rounds} rounds of ${measured / 1000} s each, smallest and largest in parentheses. ` +
    `A ratio above 1 means that ${peers[0].title} is ahead. "–": there is no such figure.`
  )
}
