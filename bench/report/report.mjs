// Collects results, shows them as they arrive, and writes them to the requested files.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import colors from "picocolors"
import { allRows, groups } from "../cases.mjs"
import { machineSentence } from "../machine.mjs"
import { insert, markdown } from "./markdown.mjs"
import { plot, plotName } from "./plot.mjs"
import { explanation, lineOf, linesByGroup } from "./results.mjs"
import { Table } from "./table.mjs"

/** @typedef {import("../arguments.mjs").Settings} Settings */
/** @typedef {import("../cases.mjs").Row} Row */
/** @typedef {import("./results.mjs").Results} Results */

const print = (/** @type {string} */ text) => process.stdout.write(`${text}\n`)

export class Report {
  /** @type {Results} */
  #results
  #table
  #isProgressShown = false
  /** The group that is currently shown. */
  #title = ""
  /** Rows of later groups that have been measured already. @type {Row[]} */
  #later = []

  /** @param {Results} results */
  constructor(results) {
    this.#results = results
    const labels = [...allRows, ...results.rows].map(({ label }) => label)
    this.#table = new Table(colors, results.peers, labels)
  }

  /** Shows and writes earlier results. @param {Results} results @param {Settings} settings */
  static repeat(results, settings) {
    const report = new Report(results)
    report.begin()
    report.finish(results.rows)
    report.write(settings)
    return report.end()
  }

  begin() {
    const { machine, peers } = this.#results
    print(machineSentence(machine))
    print(peers.map(({ title, version }) => `${title}: ${version}`).join("; "))
    print(explanation(this.#results))
  }

  /** @param {Row} row @param {string} peer @param {number | undefined} value */
  add(row, peer, value) {
    const { rows } = this.#results
    let found = rows.find(({ group, label }) => group === row.group && label === row.label)
    if (found === undefined) {
      found = { ...row, values: {} }
      rows.push(found)
    }
    if (value === undefined) return
    found.values[peer] = [...(found.values[peer] ?? []), value]
  }

  /** @param {string} what @param {unknown} error */
  complain(what, error) {
    const complaint = `${what}: ${error instanceof Error ? error.message : error}`
    if (!this.#results.complaints.includes(complaint)) this.#results.complaints.push(complaint)
  }

  /** Shows the progress. @param {string} text */
  progress(text) {
    if (!process.stderr.isTTY) return
    process.stderr.write(`\r\x1b[K${colors.dim(text)}`)
    this.#isProgressShown = true
  }

  /** Notes that these rows have been measured. @param {readonly Row[]} rows */
  finish(rows) {
    for (const row of [...rows].sort((a, b) => groups.indexOf(a.group) - groups.indexOf(b.group))) {
      const isDue = row.group !== groups.at(-1)
      if (isDue) this.#show(row)
      else this.#later.push(row)
    }
  }

  /** Finishes the report. Returns the exit status: 0 unless something could not be measured. */
  end() {
    for (const row of this.#later) this.#show(row)
    for (const complaint of this.#results.complaints) print(`${colors.red("Not measured:")} ${complaint}`)
    print("")
    return this.#results.complaints.length === 0 ? 0 : 1
  }

  /** @param {Settings} settings */
  write({ json, plots, markdown: path }) {
    if (json !== undefined) write(json, `${JSON.stringify(this.#results, undefined, 2)}\n`)
    if (plots !== undefined) {
      for (const { title, lines } of linesByGroup(this.#results, groups)) {
        write(join(plots, plotName(title)), plot(title, this.#results.peers, lines))
      }
    }
    if (path !== undefined) {
      const folder = plots === undefined ? undefined : relative(dirname(path), plots) || "."
      const document = existsSync(path) ? readFileSync(path, "utf8") : ""
      write(path, insert(document, this.#results.program, markdown(this.#results, groups, folder)))
    }
  }

  /** @param {Row} row */
  #show(row) {
    if (this.#isProgressShown) process.stderr.write("\r\x1b[K")
    if (row.group !== this.#title) print(`\n${this.#table.heading(row.group)}`)
    this.#title = row.group
    print(this.#table.line(lineOf(this.#results, row)))
  }
}

/** @param {string} path @param {string} text */
function write(path, text) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
