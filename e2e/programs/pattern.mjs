// Bytes that both ends can make: a block of random bytes whose length is no power of two, over and
// over, so that lost, doubled or displaced data shows in the hash.
import { createHash } from "node:crypto"

const BLOCK = 1_048_583

function makeBlock(seed) {
  const words = new Uint32Array(Math.ceil(BLOCK / 4))
  let state = (seed * 2_654_435_761 + 1) >>> 0
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[i] = state
  }
  return Buffer.from(words.buffer, 0, BLOCK)
}

const blocks = new Map()

/** Up to `most` bytes of the pattern of `seed` from `offset`; a view that must not be written to. */
export function slice(seed, offset, most) {
  let block = blocks.get(seed)
  if (block === undefined) {
    block = makeBlock(seed)
    blocks.set(seed, block)
  }
  const start = offset % BLOCK
  return block.subarray(start, Math.min(start + most, BLOCK))
}

/** SHA-256 of the first `bytes` bytes of the pattern of `seed`, in hexadecimal. */
export function hashOf(seed, bytes) {
  const hash = createHash("sha256")
  for (let offset = 0; offset < bytes; ) {
    const piece = slice(seed, offset, bytes - offset)
    hash.update(piece)
    offset += piece.length
  }
  return hash.digest("hex")
}

/** Writes the pattern to a stream as fast as it takes it, from `offset` up to `bytes`. */
export function send(stream, seed, bytes, offset = 0) {
  return new Promise((resolve, reject) => {
    let failed = false
    const fail = (error) => {
      failed = true
      reject(error)
    }
    stream.once("error", fail)
    stream.once("close", () => fail(new Error("closed before everything was written")))
    const next = () => {
      while (!failed && offset < bytes) {
        const piece = slice(seed, offset, Math.min(bytes - offset, 262_144))
        offset += piece.length
        if (!stream.write(piece)) return void stream.once("drain", next)
      }
      if (!failed) resolve()
    }
    next()
  })
}
