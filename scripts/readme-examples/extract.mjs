// Finds the example programs of a README: its blocks of TypeScript.
import { existsSync, readFileSync } from "node:fs"

/**
 * @typedef {object} Example
 * @property {string} code The program.
 * @property {number} line Where it begins in the README, from 1.
 * @property {readonly string[]} words What follows the language on the line that opens the block.
 */

/**
 * The examples of a README: every fenced block marked `ts`, in their order.
 * @param {string} file
 * @returns {Example[]}
 */
export function readmeExamples(file) {
  return existsSync(file) ? examplesIn(readFileSync(file, "utf8")) : []
}

/**
 * @param {string} markdown
 * @returns {Example[]}
 */
export function examplesIn(markdown) {
  return [...markdown.matchAll(/^```ts\b([^\n]*)\n(.*?)^```$/gms)].map((match) => ({
    code: match[2] ?? "",
    line: markdown.slice(0, match.index).split("\n").length + 1,
    words: (match[1] ?? "").trim().split(/\s+/).filter(Boolean),
  }))
}
