// Checks the names that packages export: none of the words that the glossary avoids, and no name of two published
// classes.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import ts from "typescript"
import { avoidedWords, namesAsElsewhere } from "./avoided-words.mjs"

/**
 * The words of a name: `seqToGuest` has three.
 * @param {string} name
 */
function wordsOf(name) {
  return name
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .split(/[ _]+/)
    .map((word) => word.toLowerCase())
}

/**
 * The avoided word in a name, if there is one.
 * @param {string} name
 */
export function avoidedIn(name) {
  const words = wordsOf(name)
  return avoidedWords.find(({ word, unlessAfter = [], unlessBefore = [] }) =>
    words.some(
      (part, index) =>
        part === word &&
        !unlessAfter.includes(words[index - 1] ?? "") &&
        !unlessBefore.includes(words[index + 1] ?? ""),
    ),
  )
}

/**
 * The names of what can be seen inside a declaration: members of classes, of types and of objects.
 * @param {ts.Node} declaration
 * @param {ts.SourceFile} source
 * @returns {string[]}
 */
function membersOf(declaration, source) {
  /** @type {string[]} */
  const names = []
  /** @param {ts.Node} node */
  const visit = (node) => {
    // What a function does is its own affair.
    if (ts.isBlock(node) || ts.isArrowFunction(node) || ts.isFunctionExpression(node)) return
    const isMember = ts.isClassElement(node) || ts.isTypeElement(node) || ts.isPropertyAssignment(node)
    if (isMember && node.name !== undefined && !ts.isPrivateIdentifier(node.name)) names.push(node.name.getText(source))
    ts.forEachChild(node, visit)
  }
  ts.forEachChild(declaration, visit)
  return names
}

/**
 * What a module exports, that of the files it exports from included: name, kind and members.
 * @param {string} file
 * @param {Set<string>} [seen]
 * @returns {{ file: string, name: string, isClass: boolean, members: string[] }[]}
 */
function exportsOf(file, seen = new Set()) {
  if (seen.has(file) || !existsSync(file)) return []
  seen.add(file)
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest)
  return source.statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement)) {
      const { moduleSpecifier, exportClause } = statement
      const named = exportClause !== undefined && ts.isNamedExports(exportClause) ? exportClause.elements : []
      const visible = named.map(({ name }) => ({ file, name: name.text, isClass: false, members: [] }))
      if (moduleSpecifier === undefined || !ts.isStringLiteral(moduleSpecifier)) return visible
      if (!moduleSpecifier.text.startsWith(".")) return visible
      const found = exportsOf(resolve(dirname(file), moduleSpecifier.text), exportClause ? new Set() : seen)
      if (exportClause === undefined || ts.isNamespaceExport(exportClause)) return found
      return named.flatMap((element) => {
        const original = found.find(({ name }) => name === (element.propertyName ?? element.name).text)
        return original === undefined ? [] : [{ ...original, name: element.name.text }]
      })
    }
    if (!ts.canHaveModifiers(statement)) return []
    if (!ts.getModifiers(statement)?.some((modifier) => modifier.kind === ts.SyntaxKind.ExportKeyword)) return []
    if (ts.isVariableStatement(statement)) {
      return statement.declarationList.declarations.map((declaration) => ({
        file,
        name: declaration.name.getText(source),
        isClass: false,
        members: membersOf(declaration, source),
      }))
    }
    const { name } = /** @type {ts.ClassDeclaration} */ (/** @type {unknown} */ (statement))
    if (name === undefined) return []
    return [{ file, name: name.text, isClass: ts.isClassDeclaration(statement), members: membersOf(statement, source) }]
  })
}

/**
 * The sources of what a package lets others import.
 * @param {string} folder
 * @param {string} manifest
 */
function entriesOf(folder, manifest) {
  /** @type {Record<string, string | Record<string, string>>} */
  const entries = JSON.parse(readFileSync(manifest, "utf8")).exports ?? {}
  return Object.values(entries)
    .map((entry) => (typeof entry === "string" ? entry : (entry["@demiflow/source"] ?? "")))
    .filter((path) => path.endsWith(".ts"))
    .map((path) => join(folder, path))
}

/**
 * The problems of the repository at `root`, one sentence each; none if all is well.
 * @param {string} root
 * @returns {string[]}
 */
export function checkNames(root) {
  /** @type {string[]} */
  const problems = []
  /** @type {Map<string, string>} */
  const classes = new Map()
  const folder = join(root, "packages")
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const manifest = join(folder, name, "package.json")
    if (!existsSync(manifest)) continue
    for (const exported of entriesOf(join(folder, name), manifest).flatMap((entry) => exportsOf(entry))) {
      const where = relative(root, exported.file)
      for (const each of [exported.name, ...exported.members]) {
        const avoided = avoidedIn(each)
        if (avoided !== undefined && !(each in namesAsElsewhere)) {
          problems.push(`${where} exports ${each}: instead of "${avoided.word}", ${avoided.instead}`)
        }
      }
      if (!exported.isClass || JSON.parse(readFileSync(manifest, "utf8")).private) continue
      const other = classes.get(exported.name)
      if (other !== undefined && other !== where)
        problems.push(`${where} exports ${exported.name}, and so does ${other}`)
      classes.set(exported.name, where)
    }
  }
  return problems
}
