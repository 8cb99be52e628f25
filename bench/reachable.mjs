// Makes files reachable for an ordinary user, although the repository or Node.js may be in root's own folder.
import { constants, mkdirSync, realpathSync, statSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { run } from "./processes.mjs"

const repository = resolve(import.meta.dirname, "..")

/** @param {string} path */
function anybodyMayEnter(path) {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if ((statSync(folder).mode & constants.S_IXOTH) === 0) return false
    if (folder === dirname(folder)) return true
  }
}

/**
 * @param {string} folder
 * @param {string} place
 */
function show(folder, place) {
  mkdirSync(place)
  run(["mount", "--bind", folder, place])
  return place
}

/**
 * Mounts the repository and Node.js below `folder` if they are out of reach, in this mount namespace only. Returns the
 * path of the measured executable, and puts the folder of `node` first in PATH.
 * @param {string} folder
 * @param {string} program
 */
export function makeReachable(folder, program) {
  const node = realpathSync(process.execPath)
  if (!anybodyMayEnter(node)) {
    process.env.PATH = `${show(dirname(node), join(folder, "node"))}:${process.env.PATH}`
  }
  const top = anybodyMayEnter(join(repository, "package.json"))
    ? repository
    : show(repository, join(folder, "repository"))
  return join(top, "apps", program, "bin", program)
}
