/**
 * DNS over HTTPS (RFC 8484): a query of the guest is posted as it is, and the answer is the guest's.
 *
 * A query that fails, for whatever reason, is answered with "server failure", so that the guest needn't wait. An answer
 * longer than the guest takes is replaced by one that is marked as truncated (RFC 1035, section 4.2.1; RFC 6891,
 * section 6.2.3).
 */
import { isQuery, LARGEST_MESSAGE, limitOf, serverFailure, truncated } from "./dns-message.ts"

declare function fetch(url: string, options: object): Promise<FetchResponse>
declare const AbortSignal: { timeout(milliseconds: number): object }

interface FetchResponse {
  readonly ok: boolean
  readonly headers: { get(name: string): string | null }
  readonly body: { getReader(): FetchReader } | null
}

interface FetchReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array }>
  cancel(): Promise<void>
}

const MEDIA_TYPE = "application/dns-message"
const TIMEOUT = 5_000
/** Queries under way at once; one more is answered with "server failure". */
const MOST_QUERIES = 256

/** How the guest's questions for names are answered. */
export interface DnsOverHttpsOptions {
  /** Where queries are posted to (RFC 8484), `https:`. */
  readonly url: string
  /** In place of the runtime's `fetch`. */
  readonly fetch?: (url: string, options: object) => Promise<FetchResponse>
}

export class DnsOverHttps {
  readonly #url: string
  readonly #fetch: NonNullable<DnsOverHttpsOptions["fetch"]>
  #underWay = 0

  constructor(options: DnsOverHttpsOptions) {
    this.#url = options.url
    // A page's fetch wants no other `this`.
    this.#fetch = options.fetch ?? ((url, settings) => fetch(url, settings))
  }

  /** Answers a query, by the copy of it that is given. What is no query has no answer. */
  ask(query: Uint8Array, answer: (bytes: Uint8Array) => void): void {
    if (!isQuery(query)) return
    if (this.#underWay >= MOST_QUERIES) {
      answer(serverFailure(query))
      return
    }
    this.#underWay++
    this.#post(query)
      .catch(() => serverFailure(query))
      .then((bytes) => {
        this.#underWay--
        answer(bytes.length > limitOf(query) ? truncated(bytes) : bytes)
      })
  }

  async #post(query: Uint8Array): Promise<Uint8Array> {
    // RFC 8484 4.1 (identifier): 0, so that caches serve everybody.
    const body = query.slice()
    body[0] = body[1] = 0
    const response = await this.#fetch(this.#url, {
      method: "POST",
      headers: { "content-type": MEDIA_TYPE, accept: MEDIA_TYPE },
      body,
      signal: AbortSignal.timeout(TIMEOUT),
    })
    if (!response.ok || !response.headers.get("content-type")?.startsWith(MEDIA_TYPE)) return serverFailure(query)
    const bytes = await readAll(response)
    if (bytes === undefined || bytes.length < 12 || (bytes[2] & 0x80) === 0) return serverFailure(query)
    bytes[0] = query[0]
    bytes[1] = query[1]
    return bytes
  }
}

/** Undefined if it is longer than any message of DNS. */
async function readAll({ body }: FetchResponse): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(LARGEST_MESSAGE)
  const reader = body?.getReader()
  let length = 0
  for (let read = await reader?.read(); read?.value !== undefined; read = await reader?.read()) {
    if (length + read.value.length > bytes.length) {
      await reader?.cancel()
      return undefined
    }
    bytes.set(read.value, length)
    length += read.value.length
  }
  return bytes.slice(0, length)
}
