// An archive as the kernel unpacks it at boot: cpio, "newc" format (the kernel's early-userspace/buffer-format).
import { gzipSync } from "node:zlib"

/**
 * @typedef {object} Entry
 * @property {string} path Without a leading slash; parent folders are created.
 * @property {string | Buffer} content
 * @property {number} [mode] 0o644 when absent.
 */

const FOLDER = 0o40755
const FILE = 0o100000
const TRAILER = "TRAILER!!!"

/** @param {number} length */
const padding = (length) => Buffer.alloc((4 - (length % 4)) % 4)

/**
 * @param {string} name
 * @param {number} mode
 * @param {Buffer} content
 * @param {number} inode
 */
function pack(name, mode, content, inode) {
  const nameLength = Buffer.byteLength(name) + 1
  // Inode, mode, user, group, links, time, size, device (4 numbers), length of the name, checksum (unused).
  const numbers = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, nameLength, 0]
  const fields = numbers.map((number) => number.toString(16).padStart(8, "0")).join("")
  const header = Buffer.from(`070701${fields}${name}\0`)
  return Buffer.concat([header, padding(header.length), content, padding(content.length)])
}

/**
 * The compressed archive of these files.
 * @param {readonly Entry[]} entries
 * @param {number} [level] zlib's
 */
export function archive(entries, level = 1) {
  /** @type {Set<string>} */
  const folders = new Set()
  for (const { path } of entries) {
    const parts = path.split("/").slice(0, -1)
    for (let depth = 1; depth <= parts.length; depth++) folders.add(parts.slice(0, depth).join("/"))
  }
  let inode = 1
  const packed = [
    ...[...folders].map((name) => pack(name, FOLDER, Buffer.alloc(0), inode++)),
    ...entries.map(({ path, content, mode = 0o644 }) => pack(path, FILE | mode, Buffer.from(content), inode++)),
    pack(TRAILER, 0, Buffer.alloc(0), 0),
  ]
  return gzipSync(Buffer.concat(packed), { level })
}
