/**
 * Measures the cost of a frame's way through a link, the kernel's part included: two links at the ends of a socket
 * pair, in one process, sending and receiving in turn. Run by hand:
 *
 *     npx esbuild packages/stream-link/bench/frames.ts --bundle --platform=node --format=esm \
 *     --conditions=@demiflow/source --outfile=packages/stream-link/dist/bench.mjs node
 *     packages/stream-link/dist/bench.mjs
 */
import { Arena, FrameBatch } from "@demiflow/core"
import { AddressFamily, attachArena, checkResult, SocketType } from "@demiflow/sys"
import { StreamLink, streamLinkArenaBytes } from "../src/index.ts"

const SECONDS = 1.5
const BATCH = 64
const LARGEST_SENT = 2 << 20

const receiveBytes = Number(process.env.RECEIVE_BYTES ?? 512 << 10)
const options = { receiveBytes }
const arena = new Arena(2 * streamLinkArenaBytes(options) + LARGEST_SENT + (1 << 20))
const native = attachArena(arena)
const pair = arena.reserve(8)
checkResult(native.socketPair(AddressFamily.unix, SocketType.stream, 0, pair), "make a socket pair")
const [sender, receiver] = [0, 1].map((index) => {
  const link = new StreamLink(native, arena, options)
  link.attach(arena.words[(pair >> 2) + index])
  return link
})
const frames = arena.reserve(LARGEST_SENT)

function measure(length: number, perTurn: number): void {
  const sent = new FrameBatch(perTurn)
  const received = new FrameBatch(BATCH)
  const stride = (length + 16 + 63) & ~63
  for (let index = 0; index < perTurn; index++) sent.setPlain(index, frames + 16 + index * stride, length)
  sent.count = perTurn
  let [sending, receiving, arrived] = [0, 0, 0]
  const end = native.monotonicMicroseconds() + SECONDS * 1e6
  for (let now = native.monotonicMicroseconds(); now < end; ) {
    if (sender.send(sent, 0, perTurn) !== perTurn) throw new Error("not all frames were taken")
    const between = native.monotonicMicroseconds()
    sending += between - now
    let here = 0
    while (here < perTurn) {
      if (sender.isCongested) sender.drain()
      const count = receiver.receive(received)
      if (count <= 0) throw new Error(`received ${count}`)
      here += count
    }
    arrived += here
    now = native.monotonicMicroseconds()
    receiving += now - between
  }
  const nanoseconds = (time: number): string => ((time * 1000) / arrived).toFixed(0).padStart(6)
  const rate = ((arrived * length * 8) / (sending + receiving) / 1000).toFixed(1).padStart(6)
  const way = `${nanoseconds(sending)} ns to send ${nanoseconds(receiving)} ns to receive`
  console.log(
    `${String(length).padStart(6)} bytes, ${String(perTurn).padStart(4)} at a time: ${way}, ${rate} Gb/s in one process`,
  )
}

for (const [length, perTurn] of [
  [60, 1],
  [1514, 1],
  [1514, 64],
  [1514, 256],
  [1514, 1024],
  [65_534, 1],
  [65_534, 4],
  [65_534, 16],
]) {
  measure(length, perTurn)
}
