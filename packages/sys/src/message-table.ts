import type { Arena } from "@demiflow/core"

const ENTRY_WORDS = 8
const DATA_OFFSET = 0
const DATA_LENGTH = 1
const NAME_OFFSET = 2
const NAME_LENGTH = 3
const CONTROL_OFFSET = 4
const CONTROL_LENGTH = 5
const FLAGS = 6
const RESULT_LENGTH = 7

/** A table of messages in the arena, as the native `receiveMessages` and `sendMessages` take it. */
export class MessageTable {
  /** Arena offset of the first entry. */
  readonly offset: number
  readonly capacity: number
  readonly #words: Int32Array
  readonly #base: number

  constructor(arena: Arena, capacity: number) {
    this.offset = arena.reserve(capacity * ENTRY_WORDS * 4, 64, "the sockets of Linux")
    this.capacity = capacity
    this.#words = arena.words
    this.#base = this.offset >> 2
    this.#words.fill(0, this.#base, this.#base + capacity * ENTRY_WORDS)
  }

  setData(index: number, offset: number, length: number): void {
    const at = this.#base + index * ENTRY_WORDS
    this.#words[at + DATA_OFFSET] = offset
    this.#words[at + DATA_LENGTH] = length
  }

  /** Where the socket address is, or is to be stored; a length of 0: none. */
  setName(index: number, offset: number, length: number): void {
    const at = this.#base + index * ENTRY_WORDS
    this.#words[at + NAME_OFFSET] = offset
    this.#words[at + NAME_LENGTH] = length
  }

  /** Where control messages are, or are to be stored; a length of 0: none. */
  setControl(index: number, offset: number, length: number): void {
    const at = this.#base + index * ENTRY_WORDS
    this.#words[at + CONTROL_OFFSET] = offset
    this.#words[at + CONTROL_LENGTH] = length
  }

  setControlLength(index: number, length: number): void {
    this.#words[this.#base + index * ENTRY_WORDS + CONTROL_LENGTH] = length
  }

  nameLength(index: number): number {
    return this.#words[this.#base + index * ENTRY_WORDS + NAME_LENGTH]
  }

  controlLength(index: number): number {
    return this.#words[this.#base + index * ENTRY_WORDS + CONTROL_LENGTH]
  }

  /** `MessageFlag` bits of a received message. */
  flags(index: number): number {
    return this.#words[this.#base + index * ENTRY_WORDS + FLAGS]
  }

  /** Bytes sent or received. */
  resultLength(index: number): number {
    return this.#words[this.#base + index * ENTRY_WORDS + RESULT_LENGTH]
  }
}
