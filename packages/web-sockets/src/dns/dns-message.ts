/** The little of DNS messages (RFC 1035, section 4.1) that matters for passing them on. */

/** A datagram holds no more, and neither does a message over TCP. */
export const LARGEST_MESSAGE = 65_507
const HEADER_LENGTH = 12
const SMALLEST_LIMIT = 512
const OPTIONS_TYPE = 41
const SERVER_FAILURE = 2

/** True if it has a header, and asks something. */
export function isQuery(message: Uint8Array): boolean {
  return message.length >= HEADER_LENGTH && (message[2] & 0x80) === 0
}

/** An answer to a query, without records. */
export function serverFailure(query: Uint8Array): Uint8Array {
  return emptyAnswer(query, 0x80 | (query[2] & 0x79), SERVER_FAILURE)
}

/** An answer without its records, marked as truncated. */
export function truncated(answer: Uint8Array): Uint8Array {
  return emptyAnswer(answer, answer[2] | 0x02, answer[3])
}

/** Bytes of an answer that the asking end takes in a datagram. */
export function limitOf(query: Uint8Array): number {
  // RFC 6891 6.1.2 (size): the class of the record of options, which is the last record of a query in practice.
  const additional = (query[10] << 8) | query[11]
  let at = endOfQuestion(query)
  if (additional === 0 || at === undefined) return SMALLEST_LIMIT
  const records = ((query[6] << 8) | query[7]) + ((query[8] << 8) | query[9]) + additional
  for (let index = 0; index < records; index++) {
    at = endOfName(query, at)
    if (at === undefined || at + 10 > query.length) break
    if (((query[at] << 8) | query[at + 1]) === OPTIONS_TYPE) {
      return Math.max(SMALLEST_LIMIT, (query[at + 2] << 8) | query[at + 3])
    }
    at += 10 + ((query[at + 8] << 8) | query[at + 9])
  }
  return SMALLEST_LIMIT
}

/** Header and question of a message. */
function emptyAnswer(message: Uint8Array, flags: number, moreFlags: number): Uint8Array {
  const end = endOfQuestion(message)
  const answer = message.slice(0, end ?? HEADER_LENGTH)
  answer[2] = flags
  answer[3] = moreFlags
  if (end === undefined) answer.fill(0, 4, 6)
  answer.fill(0, 6, HEADER_LENGTH)
  return answer
}

/** Undefined if it doesn't have exactly one. */
function endOfQuestion(message: Uint8Array): number | undefined {
  if (((message[4] << 8) | message[5]) !== 1) return undefined
  const end = endOfName(message, HEADER_LENGTH)
  return end === undefined || end + 4 > message.length ? undefined : end + 4
}

function endOfName(message: Uint8Array, start: number): number | undefined {
  for (let at = start; at < message.length; at += message[at] + 1) {
    if (message[at] === 0) return at + 1
    // RFC 1035 4.1.4 (pointer): it ends the name.
    if (message[at] >= 0xc0) return at + 2
  }
  return undefined
}
