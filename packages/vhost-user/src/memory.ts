import type { Native } from "@demiflow/sys"
import { checkResult, SystemError } from "@demiflow/sys"
import { REGION_BYTES } from "./messages.ts"
import { Refusal } from "./vhost-user-end.ts"

/**
 * The memory that a front end shares, as the addon maps it. Records of regions and of the log are passed on as they are
 * in messages: the addon's have the same fields.
 */
export class GuestMemory {
  /** Its number, for the addon. */
  readonly number: number
  readonly #native: Native

  constructor(native: Native) {
    this.#native = native
    this.number = checkResult(native.memoryCreate(), "make a map of guest memory")
  }

  /** Replaces all regions. Throws {@link Refusal} if one can't be mapped. */
  replace(recordsOffset: number, descriptors: readonly number[]): void {
    this.clear()
    for (const [index, descriptor] of descriptors.entries()) this.add(recordsOffset + index * REGION_BYTES, descriptor)
  }

  /** Adds a region. Throws {@link Refusal} if it can't be mapped. */
  add(recordOffset: number, descriptor: number): void {
    this.#check(this.#native.memoryAdd(this.number, descriptor, recordOffset), "map a region of its memory")
  }

  /** Removes the region with this record's addresses. Throws {@link Refusal} if there is none. */
  remove(recordOffset: number): void {
    this.#check(this.#native.memoryRemove(this.number, recordOffset), "unmap a region of its memory")
  }

  /** Notes written pages in a log. Throws {@link Refusal} if it can't be mapped. */
  log(recordOffset: number, descriptor: number): void {
    this.#check(this.#native.memoryLog(this.number, descriptor, recordOffset), "map its log of written pages")
  }

  /** Unmaps everything. */
  clear(): void {
    this.#native.memoryClear(this.number)
  }

  close(): void {
    this.#native.memoryClose(this.number)
  }

  #check(result: number, what: string): void {
    if (result < 0) throw new Refusal(new SystemError(what, result).message)
  }
}
