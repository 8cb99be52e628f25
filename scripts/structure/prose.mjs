// Checks for words that the project avoids: prose in comments, documents, titles of tests and messages, and identifiers.
import { execFileSync } from "node:child_process"
import { readFileSync, statSync } from "node:fs"
import { extname, join } from "node:path"
import ts from "typescript"
import { avoidedInIdentifiers, avoidedProse, phrasesAsElsewhere } from "./avoided-words.mjs"

/** Where comments are, by the file's extension: whole lines, and the ends of lines. */
const slashes = [/^\s*(?:\/\/|\/\*\*?|\*(?!\/)) ?(.*)$/, /\s\/\/ (.*)$/]
const hashes = [/^\s*# ?(.*)$/, /\s# (.*)$/]
const comments = new Map([
  [".ts", slashes],
  [".mjs", slashes],
  [".js", slashes],
  [".c", slashes],
  [".h", slashes],
  [".sh", hashes],
  [".py", hashes],
  [".yml", hashes],
])
const titles = [/\b(?:test|it|describe)(?:\.\w+)*(?:\(.*?\))?\((["'`])(.+?)\1/, /^\s*\](?: as .*)?\)\((["'`])(.+?)\1/]

/**
 * The prose on each line of a file; empty where there is none.
 * @param {string} file
 * @param {string} text
 * @returns {string[]}
 */
export function proseOf(file, text) {
  const lines = text.split("\n")
  if (extname(file) === ".md") {
    let isCode = false
    return lines.map((line) => {
      if (/^\s*```/.test(line)) isCode = !isCode
      // Neither code nor where a link leads is prose.
      return isCode ? "" : line.replaceAll(/`[^`]*`/g, "").replaceAll(/\]\([^)]*\)/g, "]")
    })
  }
  const patterns = comments.get(extname(file)) ?? []
  const hasMessages = showsMessages(file)
  const texts = hasMessages && extname(file) !== ".c" ? textsOverLines(text, lines) : []
  return lines.map((line, index) => {
    const comment = patterns.map((pattern) => pattern.exec(line)?.[1]).find((found) => found !== undefined) ?? ""
    const title = file.includes(".test.") ? titles.map((pattern) => pattern.exec(line)?.[2] ?? "").join(" ") : ""
    const message = hasMessages && comment === "" ? messagesOn(line) : ""
    return `${comment.replaceAll(/`[^`]*`/g, "")} ${title} ${message} ${texts[index] ?? ""}`.trim()
  })
}

/**
 * True if users or contributors see the strings of a file: messages, and the text of --help. What only tests contain is
 * left out.
 * @param {string} file
 */
function showsMessages(file) {
  const isSource = /^(?:packages|apps|examples|bench|scripts)\/.*\.(?:ts|mjs|js|c)$/.test(file)
  return isSource && !/\.(?:test|fixture)\.ts$|\/test-support\/|\/native\/test\//.test(file)
}

/**
 * The string literals on a line that have a space in them.
 * @param {string} line
 */
function messagesOn(line) {
  const literals = line.match(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`/g) ?? []
  return literals
    .map((literal) => literal.slice(1, -1).replaceAll(/\$\{[^}]*\}/g, "…"))
    .filter((text) => text.includes(" "))
    .join("; ")
}

/**
 * What stands on each line of template literals over several lines, without the code in them; a hole for other lines.
 * @param {string} text
 * @param {readonly string[]} lines
 */
function textsOverLines(text, lines) {
  /** @type {string[]} */
  const texts = []
  // Only a line where one begins or ends has an odd number of backticks. Parsing takes longer than counting.
  if (lines.every((line) => line.split("`").length % 2 === 1)) return texts
  const source = ts.createSourceFile("", text, ts.ScriptTarget.Latest)
  /** @param {ts.Node} node */
  const visit = (node) => {
    if (node.getText(source).includes("\n")) {
      if (ts.isNoSubstitutionTemplateLiteral(node)) add(node)
      if (ts.isTemplateExpression(node)) [node.head, ...node.templateSpans.map((span) => span.literal)].forEach(add)
    }
    ts.forEachChild(node, visit)
  }
  /** @param {ts.LiteralLikeNode} part */
  const add = (part) => {
    const { line: first } = source.getLineAndCharacterOfPosition(part.getStart(source))
    const pieces = part
      .getText(source)
      .slice(1)
      .replace(/(?:`|\$\{)$/, "")
      .split("\n")
    for (const [index, piece] of pieces.entries()) {
      const before = texts[first + index]
      texts[first + index] = before === undefined ? piece : `${before}…${piece}`
    }
  }
  visit(source)
  return texts
}

/**
 * The problems in a file, one sentence each.
 * @param {string} file
 * @param {string} text
 * @returns {string[]}
 */
export function avoidedProseIn(file, text) {
  return proseOf(file, text).flatMap((line, index) => {
    const rest = phrasesAsElsewhere.reduce((left, phrase) => left.replaceAll(phrase, ""), line)
    const found = avoidedProse.find(({ pattern }) => pattern.test(rest))
    if (found === undefined) return []
    const [word] = found.pattern.exec(rest) ?? []
    return [`${file}, line ${index + 1}: instead of "${word?.trim()}", ${found.instead}`]
  })
}

const strings = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\/\/.*|^\s*\*.*|\/\*\*.*/g
const identifiers = new RegExp(
  `(?<![\\w$])#?(?:\\w*?[a-z0-9_])?(?:${avoidedInIdentifiers
    .flatMap((word) => [`(?<![a-zA-Z0-9])${word}`, word[0].toUpperCase() + word.slice(1), word.toUpperCase()])
    .join("|")})(?![a-z])\\w*`,
)

/**
 * The avoided identifiers in a file, a sentence for each line that has one. Strings and comments don't count.
 * @param {string} file
 * @param {string} text
 * @returns {string[]}
 */
export function avoidedIdentifiersIn(file, text) {
  return text.split("\n").flatMap((line, index) => {
    const found = identifiers.exec(line.replaceAll(strings, '""'))
    return found === null ? [] : [`${file}, line ${index + 1}: the identifier ${found[0]} has an avoided word`]
  })
}

/**
 * The problems of the files that git tracks below `root`; none if all is well.
 * @param {string} root
 * @returns {string[]}
 */
export function checkProse(root) {
  const files = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" }).split("\0")
  return files
    .filter((file) => extname(file) === ".md" || comments.has(extname(file)))
    .filter((file) => file !== "scripts/structure/avoided-words.mjs")
    .filter((file) => statSync(join(root, file), { throwIfNoEntry: false })?.isFile())
    .flatMap((file) => {
      const text = readFileSync(join(root, file), "utf8")
      const isScript = extname(file) === ".ts" || extname(file) === ".mjs"
      return [...avoidedProseIn(file, text), ...(isScript ? avoidedIdentifiersIn(file, text) : [])]
    })
}
