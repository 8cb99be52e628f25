/** Valid frames with a few things wrong, reproducibly. */
import fc from "fast-check"
import { resum, validFrames } from "./frames.ts"

/** Values at which length fields and counters are got wrong. */
const edges = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 4, 7, 8, 19, 20, 21, 39, 40, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xfffe, 0xffff),
  fc.integer({ min: 0, max: 0xffff }),
)

/** Bytes by which a frame grows: now and then so many that most of what is generated would be these, if it were always. */
const growth = fc.oneof({ weight: 9, arbitrary: fc.nat(3000) }, { weight: 1, arbitrary: fc.nat(60_000) })

const mutation = fc.oneof(
  fc.record({ kind: fc.constant("byte" as const), at: fc.nat(130), value: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ kind: fc.constant("word" as const), at: fc.nat(130), value: edges }),
  fc.record({ kind: fc.constant("cut" as const), at: fc.nat(330), value: fc.constant(0) }),
  fc.record({ kind: fc.constant("grow" as const), at: growth, value: fc.integer({ min: 0, max: 255 }) }),
)

/** Such a frame, at least as long as an Ethernet header. */
export const mutatedFrame: fc.Arbitrary<Buffer> = fc
  .record({
    frame: fc.constantFrom(...Object.values(validFrames)),
    mutations: fc.array(mutation, { minLength: 1, maxLength: 4 }),
    // With sums that are right again, what is wrong elsewhere is looked at too.
    resummed: fc.boolean(),
  })
  .map(({ frame, mutations, resummed }) => {
    let bytes = Buffer.from(frame)
    for (const { kind, at, value } of mutations) {
      if (kind === "cut") bytes = bytes.subarray(0, Math.max(14, at % (bytes.length + 1)))
      else if (kind === "grow") bytes = Buffer.concat([bytes, Buffer.alloc(at, value)])
      else if (kind === "byte") bytes[at % bytes.length] = value
      else if (bytes.length >= 2) bytes.writeUInt16BE(value, at % (bytes.length - 1))
    }
    return resummed ? resum(bytes) : bytes
  })
