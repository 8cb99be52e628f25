import fc from "fast-check"

/** Captured messages (in hexadecimal, by name), each with some bytes changed, and many of them truncated. */
export function mutatedMessages(captures: Readonly<Record<string, string>>): fc.Arbitrary<Uint8Array> {
  const messages = Object.values(captures).map((hexadecimal) => new Uint8Array(Buffer.from(hexadecimal, "hex")))
  const longest = Math.max(...messages.map((message) => message.length))
  const changes = fc.array(fc.tuple(fc.nat(longest), fc.nat(255)), { maxLength: 8 })
  const length = fc.oneof(fc.constant(longest), fc.nat(longest))
  return fc.tuple(fc.constantFrom(...messages), changes, length).map(([message, mutations, end]) => {
    const bytes = message.slice(0, end)
    for (const [position, value] of mutations) if (position < bytes.length) bytes[position] = value
    return bytes
  })
}

/** Mutated messages, with some noise. */
export function hostileMessages(captures: Readonly<Record<string, string>>): fc.Arbitrary<Uint8Array> {
  return fc.oneof({ arbitrary: mutatedMessages(captures), weight: 9 }, fc.uint8Array({ maxLength: 600 }))
}
