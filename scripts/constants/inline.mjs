// Inlines constants that are members of an object: what is built has `6` for `IpProtocol.tcp`. esbuild inlines single
// constants, but not these, which the data path would load for each packet, and a page with their names.
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import ts from "typescript"

const root = join(import.meta.dirname, "../..")
const SOURCES = /\/(?:packages|apps)\/[^/]+\/src\/.*\.ts$/

/** @typedef {ReadonlyMap<string, number>} Members By name. */
/** @typedef {Map<string, Members>} Constants By the name of their object. */

/** @type {Map<string, Constants>} */
const ofFiles = new Map()
/** @type {Map<string, Constants>} */
const ofPackages = new Map()

/** A plug-in of esbuild. @returns {import("esbuild").Plugin} */
export function inlineConstants() {
  return {
    name: "inline-constants",
    setup(build) {
      build.onLoad({ filter: SOURCES }, ({ path }) => ({
        contents: withConstants(path, readFileSync(path, "utf8")),
        loader: "ts",
      }))
    },
  }
}

/**
 * Puts the numbers in the place of the members. The text keeps its length, so that source maps stay right.
 * @param {string} path
 * @param {string} text
 */
export function withConstants(path, text) {
  const file = parse(path, text)
  const constants = visibleConstants(path, file)
  forgetShadowed(file, constants)
  /** @type {string[]} */
  const parts = []
  let end = 0
  /** @param {ts.Node} node */
  const visit = (node) => {
    const value = ts.isPropertyAccessExpression(node) ? literalOf(node, constants) : undefined
    const start = node.getStart(file)
    if (value !== undefined && value.length <= node.end - start) {
      parts.push(text.slice(end, start), value.padEnd(node.end - start))
      end = node.end
    } else ts.forEachChild(node, visit)
  }
  visit(file)
  return parts.join("") + text.slice(end)
}

/**
 * @param {ts.PropertyAccessExpression} node
 * @param {Constants} constants
 */
function literalOf({ expression, name, parent, questionDotToken }, constants) {
  if (!ts.isIdentifier(expression) || questionDotToken !== undefined) return undefined
  // A number there would need parentheses.
  if (ts.isPropertyAccessExpression(parent) || ts.isElementAccessExpression(parent)) return undefined
  const value = constants.get(expression.text)?.get(name.text)
  if (value === undefined) return undefined
  return value < 0 ? `(${value})` : `${value}`
}

/**
 * @param {string} path
 * @param {ts.SourceFile} file
 * @returns {Constants}
 */
function visibleConstants(path, file) {
  const visible = new Map(constantsOf(file, false))
  for (const statement of file.statements) {
    if (!ts.isImportDeclaration(statement) || !ts.isStringLiteral(statement.moduleSpecifier)) continue
    const bindings = statement.importClause?.namedBindings
    if (bindings === undefined || !ts.isNamedImports(bindings)) continue
    const exported = constantsFrom(path, statement.moduleSpecifier.text)
    for (const { name, propertyName } of bindings.elements) {
      const members = exported?.get((propertyName ?? name).text)
      if (members !== undefined) visible.set(name.text, members)
    }
  }
  return visible
}

/**
 * @param {string} path
 * @param {string} specifier
 */
function constantsFrom(path, specifier) {
  if (specifier.startsWith("."))
    return specifier.endsWith(".ts") ? constantsIn(resolve(dirname(path), specifier)) : undefined
  const [, name] = /^@demiflow\/([^/]+)$/.exec(specifier) ?? []
  return name === undefined ? undefined : constantsOfPackage(name)
}

/**
 * Those that a file exports.
 * @param {string} path
 */
function constantsIn(path) {
  let found = ofFiles.get(path)
  if (found === undefined) {
    const text = readFileSync(path, "utf8")
    found = text.includes("as const") ? constantsOf(parse(path, text), true) : new Map()
    ofFiles.set(path, found)
  }
  return found
}

/**
 * Those of all files of a package; none that two files have under one name.
 * @param {string} name
 */
function constantsOfPackage(name) {
  let found = ofPackages.get(name)
  if (found === undefined) {
    found = new Map()
    ofPackages.set(name, found)
    const folder = join(root, "packages", name, "src")
    for (const path of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
      if (!path.endsWith(".ts") || path.endsWith(".test.ts")) continue
      for (const [object, members] of constantsIn(join(folder, path))) {
        found.set(object, found.has(object) ? new Map() : members)
      }
    }
  }
  return found
}

/**
 * Objects of numbers that are declared `as const` at the top of a file.
 * @param {ts.SourceFile} file
 * @param {boolean} onlyExported
 * @returns {Constants}
 */
function constantsOf(file, onlyExported) {
  /** @type {Constants} */
  const constants = new Map()
  for (const statement of file.statements) {
    if (!ts.isVariableStatement(statement)) continue
    if (onlyExported && !statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) continue
    for (const { name, initializer } of statement.declarationList.declarations) {
      if (!ts.isIdentifier(name) || initializer === undefined || !ts.isAsExpression(initializer)) continue
      if (initializer.type.getText(file) !== "const" || !ts.isObjectLiteralExpression(initializer.expression)) continue
      /** @type {Map<string, number>} */
      const members = new Map()
      for (const property of initializer.expression.properties) {
        if (!ts.isPropertyAssignment(property) || !ts.isIdentifier(property.name)) continue
        const value = numberOf(property.initializer)
        if (value !== undefined) members.set(property.name.text, value)
      }
      // What is spread, or has a computed name, may be any member.
      const isListed = initializer.expression.properties.every(({ name }) => name && !ts.isComputedPropertyName(name))
      constants.set(name.text, isListed ? members : new Map())
    }
  }
  return constants
}

/**
 * @param {ts.Expression} expression
 * @returns {number | undefined}
 */
function numberOf(expression) {
  if (ts.isNumericLiteral(expression)) return Number(expression.text)
  if (ts.isPrefixUnaryExpression(expression) && expression.operator === ts.SyntaxKind.MinusToken) {
    const value = numberOf(expression.operand)
    return value === undefined ? undefined : -value
  }
  if (ts.isBinaryExpression(expression) && expression.operatorToken.kind === ts.SyntaxKind.LessThanLessThanToken) {
    const [left, right] = [numberOf(expression.left), numberOf(expression.right)]
    return left === undefined || right === undefined ? undefined : left << right
  }
  return undefined
}

/**
 * False for what a loop or a `catch` declares, at the top of a file as well.
 * @param {ts.VariableDeclaration} declaration
 * @param {ts.SourceFile} file
 */
function isOfFile({ parent }, file) {
  return ts.isVariableStatement(parent.parent) && parent.parent.parent === file
}

/**
 * Removes names that something else in the file has as well.
 * @param {ts.SourceFile} file
 * @param {Constants} constants
 */
function forgetShadowed(file, constants) {
  /** @param {ts.Node} node */
  const visit = (node) => {
    const isBinding = ts.isParameter(node) || ts.isBindingElement(node) || ts.isVariableDeclaration(node)
    const isTop = ts.isVariableDeclaration(node) && isOfFile(node, file)
    if (isBinding && !isTop && ts.isIdentifier(node.name)) constants.delete(node.name.text)
    const isNamed = ts.isFunctionLike(node) || ts.isClassLike(node)
    if (isNamed && node.name !== undefined && ts.isIdentifier(node.name)) {
      if (!ts.isMethodDeclaration(node) && !ts.isAccessor(node)) constants.delete(node.name.text)
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
}

/**
 * @param {string} path
 * @param {string} text
 */
function parse(path, text) {
  return ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true)
}
