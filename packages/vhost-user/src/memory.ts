import type { Arena } from "@demiflow/core"
import { checkResult, type Native, SystemError } from "@demiflow/sys"
import { REGION_BYTES } from "./messages.ts"
import { Refusal } from "./vhost-user-end.ts"

const LOG_RECORD_BYTES = 16

/** Arena bytes that a {@link GuestMemory} reserves at most. */
export const GUEST_MEMORY_BYTES: number = LOG_RECORD_BYTES + 64

/**
 * The memory that a front end shares, as the addon maps it, with the log of written pages. Records of regions and of the
 * log are passed on as they are in messages: the addon's have the same fields.
 */
export class GuestMemory {
  readonly #native: Native
  readonly #arena: Arena
  readonly #logRecord: number
  #number = -1
  /** The log's descriptor, -1 if there is none: what unmaps all regions unmaps the log too. */
  #log = -1

  constructor(native: Native, arena: Arena) {
    this.#native = native
    this.#arena = arena
    this.#logRecord = arena.reserve(LOG_RECORD_BYTES, 64, "the memory of a vhost-user guest")
  }

  /** Its number, for the addon; -1 if there is no front end. */
  get number(): number {
    return this.#number
  }

  /** Begins with a new front end. Throws a `SystemError` if there can't be another map of guest memory. */
  open(): void {
    this.#number = checkResult(this.#native.memoryCreate(), "make a map of guest memory")
  }

  /** Replaces all regions. Throws {@link Refusal} if one can't be mapped: there are none then. */
  replace(recordsOffset: number, descriptors: readonly number[]): void {
    this.#clear()
    try {
      for (const [index, descriptor] of descriptors.entries()) {
        this.add(recordsOffset + index * REGION_BYTES, descriptor)
      }
    } catch (error) {
      this.#clear()
      throw error
    }
  }

  /** Adds a region. Throws {@link Refusal} if it can't be mapped. */
  add(recordOffset: number, descriptor: number): void {
    check(this.#native.memoryAdd(this.#number, descriptor, recordOffset), "map a region of its memory")
  }

  /** Removes the region with this record's addresses. Throws {@link Refusal} if there is none. */
  remove(recordOffset: number): void {
    check(this.#native.memoryRemove(this.#number, recordOffset), "unmap a region of its memory")
  }

  /**
   * Notes written pages in a log from now on. Throws {@link Refusal} if it can't be mapped. The descriptor is closed
   * here.
   */
  setLog(recordOffset: number, descriptor: number): void {
    this.#closeLog()
    this.#log = descriptor
    this.#arena.bytes.copyWithin(this.#logRecord, recordOffset, recordOffset + LOG_RECORD_BYTES)
    this.#mapLog()
  }

  /** Unmaps everything. */
  close(): void {
    this.#closeLog()
    if (this.#number >= 0) this.#native.memoryClose(this.#number)
    this.#number = -1
  }

  #clear(): void {
    this.#native.memoryClear(this.#number)
    if (this.#log >= 0) this.#mapLog()
  }

  #mapLog(): void {
    check(this.#native.memoryLog(this.#number, this.#log, this.#logRecord), "map its log of written pages")
  }

  #closeLog(): void {
    if (this.#log >= 0) this.#native.close(this.#log)
    this.#log = -1
  }
}

function check(result: number, what: string): void {
  if (result < 0) throw new Refusal(new SystemError(what, result).message)
}
