// Results for a terminal: columns of fixed width, so that rows can be shown as they are measured.
import { short, times, withSpread } from "./numbers.mjs"
import { comparedOf } from "./results.mjs"

const UNIT_WIDTH = 8
const PEER_WIDTH = 22
const RATIO_WIDTH = 9

/**
 * @typedef {object} Style
 * @property {(text: string) => string} bold
 * @property {(text: string) => string} dim
 * @property {(text: string) => string} green
 * @property {(text: string) => string} red
 */

export class Table {
  #style
  #peers
  #labelWidth

  /**
   * @param {Style} style
   * @param {readonly import("./results.mjs").PeerName[]} peers
   * @param {readonly string[]} labels All that there may be.
   */
  constructor(style, peers, labels) {
    this.#style = style
    this.#peers = peers
    this.#labelWidth = Math.max(...labels.map((label) => label.length)) + 2
  }

  /** @param {string} title */
  heading(title) {
    const columns = [
      ...comparedOf(this.#peers).map(({ title }) => `÷ ${title}`.padStart(ratioWidth(title))),
      ...this.#peers.map(({ title }) => title.padStart(PEER_WIDTH)),
    ]
    return this.#style.bold(title.padEnd(this.#labelWidth + UNIT_WIDTH) + columns.join(""))
  }

  /** @param {import("./results.mjs").Line} line */
  line({ row, summaries, ratios }) {
    const compared = comparedOf(this.#peers)
    const cells = summaries.map((summary) => {
      const text = withSpread(summary).padStart(PEER_WIDTH)
      if (summary === undefined) return text
      const end = short(summary.median).length + text.length - text.trimStart().length
      return text.slice(0, end) + this.#style.dim(text.slice(end))
    })
    const marks = ratios.map((ratio, index) => {
      const text = times(ratio).padStart(ratioWidth(compared[index].title))
      if (ratio === undefined) return text
      return ratio >= 1 ? this.#style.green(text) : this.#style.red(text)
    })
    return [row.label.padEnd(this.#labelWidth), row.unit.padEnd(UNIT_WIDTH), ...marks, ...cells].join("")
  }
}

/** @param {string} title */
function ratioWidth(title) {
  return Math.max(RATIO_WIDTH, title.length + 4)
}
