/**
 * Messages, read from a stream that arrives in pieces of any size. What is kept is at most one item of a message, and
 * what was read of it; a message that can't be right ends with one sentence.
 */
import {
  CONDITION_ID,
  HELLO_BYTES,
  INTERFACE_NAME_BYTES,
  MAGIC,
  MOST_RULES,
  MOST_TEXT_BYTES,
  NAME_BYTES,
  PESTO_VERSION,
  type PestoAnswer,
  type PestoTable,
  type PestoUpdate,
  RESULTS,
} from "./messages.ts"
import { type PestoRule, RULE_BYTES, readRule } from "./rule.ts"
import { decodeText } from "./text.ts"

/** Rules that a client reads from a table at most: more than any program has. */
const MOST_RULES_SHOWN = 65_536

/** Thrown for a message that can't be right; `message` is one sentence. */
export class PestoProtocolError extends Error {
  readonly code = "ERR_PESTO_PROTOCOL"
}

/** Asks for a number of bytes, and gets them. */
type Reading<Message> = Generator<number, Message, Uint8Array>

/** Reads one message. */
export class PestoReader<Message> {
  readonly #reading: Reading<Message>
  #item: Uint8Array
  #filled = 0
  #message: Message | undefined

  private constructor(reading: Reading<Message>) {
    this.#reading = reading
    const first = reading.next()
    if (first.done) throw new Error("A message has at least one byte")
    this.#item = new Uint8Array(first.value)
  }

  /** Reads what a running program says first. */
  static hello(): PestoReader<PestoTable[]> {
    return new PestoReader(readHello())
  }

  /** Reads what a client wants of the tables with these numbers. */
  static update(ids: readonly number[]): PestoReader<PestoUpdate> {
    return new PestoReader(readUpdate(ids))
  }

  /** Reads how an update ended. */
  static answer(): PestoReader<PestoAnswer> {
    return new PestoReader(readAnswer())
  }

  /**
   * Takes what has arrived. Returns the message once it is complete; what follows it is left out. Throws
   * {@link PestoProtocolError}.
   */
  push(bytes: Uint8Array): Message | undefined {
    let offset = 0
    while (this.#message === undefined && offset < bytes.length) {
      const part = bytes.subarray(offset, offset + this.#item.length - this.#filled)
      this.#item.set(part, this.#filled)
      this.#filled += part.length
      offset += part.length
      if (this.#filled === this.#item.length) this.#continue()
    }
    return this.#message
  }

  #continue(): void {
    this.#filled = 0
    let next = this.#reading.next(this.#item)
    // An item may have no bytes.
    while (!next.done && next.value === 0) next = this.#reading.next(new Uint8Array())
    if (next.done) this.#message = next.value
    else this.#item = new Uint8Array(next.value)
  }
}

function* readHello(): Reading<PestoTable[]> {
  const head = yield HELLO_BYTES
  if (MAGIC.some((byte, index) => head[index] !== byte)) throw new PestoProtocolError("this is no socket for pesto")
  const view = viewOf(head)
  const version = view.getUint32(MAGIC.length)
  if (version !== PESTO_VERSION)
    throw new PestoProtocolError(`its protocol has version ${version}, not ${PESTO_VERSION}`)
  if (view.getUint32(MAGIC.length + 4) !== NAME_BYTES || view.getUint32(MAGIC.length + 8) !== INTERFACE_NAME_BYTES) {
    throw new PestoProtocolError("its names have other lengths")
  }
  const tables: PestoTable[] = []
  for (let id = yield* readId(tables); id !== 0; id = yield* readId(tables)) {
    const name = yield NAME_BYTES
    const end = name.indexOf(0)
    const capabilities = viewOf(yield 4).getUint32(0)
    const rules = yield* readRules(MOST_RULES_SHOWN)
    tables.push({
      id,
      name: withoutControls(decodeText(name.subarray(0, end < 0 ? NAME_BYTES : end))),
      capabilities,
      rules,
    })
  }
  return tables
}

function* readUpdate(ids: readonly number[]): Reading<PestoUpdate> {
  const tables: { id: number; rules: PestoRule[] }[] = []
  let isConditional = false
  for (let id = yield* readId(tables); id !== 0; id = yield* readId(tables)) {
    if (id === CONDITION_ID && !isConditional) {
      isConditional = true
      yield* readRules(0)
    } else if (ids.includes(id)) tables.push({ id, rules: yield* readRules(MOST_RULES) })
    else throw new PestoProtocolError(`there is no table ${id}`)
  }
  return { tables, isConditional }
}

function* readAnswer(): Reading<PestoAnswer> {
  const view = viewOf(yield 8)
  const result = RESULTS.at(view.getUint32(0))
  const textBytes = view.getUint32(4)
  if (result === undefined) throw new PestoProtocolError(`there is no result ${view.getUint32(0)}`)
  if (textBytes > MOST_TEXT_BYTES) throw new PestoProtocolError(`a text of ${textBytes} bytes is too long`)
  const lines = decodeText(yield textBytes).split("\n")
  return { result, message: lines.map(withoutControls).join("\n") }
}

/** Each table comes once, so that a message has an end. */
function* readId(tables: readonly { readonly id: number }[]): Reading<number> {
  const [id] = yield 1
  if (tables.some((table) => table.id === id)) throw new PestoProtocolError(`table ${id} comes twice`)
  return id
}

function* readRules(most: number): Reading<PestoRule[]> {
  const count = viewOf(yield 4).getUint32(0)
  if (count > most) throw new PestoProtocolError(`a table with ${count} rules is too large`)
  const rules: PestoRule[] = []
  while (rules.length < count) {
    const rule = readRule(yield RULE_BYTES)
    if (typeof rule === "string") throw new PestoProtocolError(rule)
    rules.push(rule)
  }
  return rules
}

/** Nothing that a terminal would act on. */
function withoutControls(text: string): string {
  return text.replace(/\p{Control}/gu, "?")
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
