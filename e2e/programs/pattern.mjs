// Bytes that both ends can generate: a repeated block of random bytes whose length is no power of two,
// so that lost, doubled or displaced data changes the hash. A seed is the start within the block.
import { createHash } from "node:crypto"

const BLOCK = 1_048_583
/** A prime, so that all seeds below BLOCK begin at different places. */
const STRIDE = 4099

// The block twice, so that a piece may begin anywhere.
const words = new Uint32Array(Math.ceil((2 * BLOCK) / 4))
const bytes = Buffer.from(words.buffer)
const MADE_TWICE = 2 * BLOCK
let made = 0
let state = 1

/** Generates only the bytes up to this position: a program that runs for 20 ms needs few of them. */
function make(end) {
  if (end <= made) return
  for (; made < Math.min(end, BLOCK); made += 4) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[made / 4] = state
  }
  if (end <= BLOCK) return
  bytes.copyWithin(BLOCK, 0, BLOCK)
  made = MADE_TWICE
}

/** Up to `most` bytes of the pattern of `seed` from `offset`, and up to BLOCK; a view that must not be written to. */
export function slice(seed, offset, most) {
  const start = (seed * STRIDE + offset) % BLOCK
  const end = start + Math.min(most, BLOCK)
  make(end)
  return bytes.subarray(start, end)
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

/** Writes the pattern to a stream as fast as the stream accepts it, from `offset` up to `bytes`. */
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
