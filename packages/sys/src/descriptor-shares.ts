/**
 * Shares of a process's descriptors, so that nobody outside, and no flood of the guest's, takes the last ones.
 *
 * The kernel gives out the lowest number that is free. So a new descriptor's number says how many are taken, and nobody has to
 * count. Each kind of socket may be opened up to a number of its own, and what matters more finds descriptors above that:
 * ports that follow what is bound stop first, then what begins outside, then single exchanges of the guest. Connections of the
 * guest have all of them. Numbers are the process's: all of its hosts have one {@link DescriptorShares}.
 *
 * What the user has asked for lasts (forwarded ports), and counts as taken from the start.
 */
import { readFileSync } from "node:fs"
import type { Native } from "./native.ts"

/**
 * Up to which part of the descriptors each kind of socket may be opened, in quarters. Ports inside a namespace that follow others
 * stop before those of the host: anybody on the host may bind what they follow.
 */
export const DescriptorShare = { autoPortsInside: 0.5, autoPorts: 1, fromOutside: 2, exchanges: 3 } as const

type Share = (typeof DescriptorShare)[keyof typeof DescriptorShare]

/**
 * So close to a share's end the next number is asked for, before anything is taken that can wait. More than what the process
 * opens for a moment, or for itself, which nobody notes.
 */
const MARGIN = 16

/** The soft limit of open files of this process; Infinity if that can't be read. */
export function descriptorLimit(): number {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))
    return limit === null ? Number.POSITIVE_INFINITY : Number(limit[1])
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

/** Says which descriptors a kind of socket may have. */
export class DescriptorShares {
  readonly #native: Native
  /** Descriptors of the process. */
  readonly limit: number
  /** Descriptors that are taken for good. */
  #lasting = 0
  /** The highest number that was noted, -1 before the first. The newest one says nothing of the next: it may fill a gap. */
  #highest = -1

  /** @param limit descriptors of the process */
  constructor(native: Native, limit: number) {
    this.#native = native
    this.limit = limit
  }

  /** Notes a descriptor that stays: shares are parts of what is left. */
  last(descriptor: number): void {
    if (descriptor >= this.#lasting) this.#lasting = descriptor + 1
  }

  /** Notes a descriptor that was just made, of whatever kind. */
  made(descriptor: number): void {
    if (descriptor > this.#highest) this.#highest = descriptor
  }

  /** True if a descriptor that was just made is within the share. */
  allows(share: Share, descriptor: number): boolean {
    this.made(descriptor)
    return descriptor < this.#endOf(share)
  }

  /** True if the next descriptor will be within the share, if all are noted that stay open. */
  allowsNext(share: Share): boolean {
    // The next one follows the highest at most.
    if (this.#highest >= 0 && this.#highest + MARGIN < this.#endOf(share)) return true
    const descriptor = this.#native.createEvent(0)
    if (descriptor < 0) return false
    this.#native.close(descriptor)
    return this.allows(share, descriptor)
  }

  #endOf(share: Share): number {
    const lasting = Math.min(this.#lasting, this.limit)
    return lasting + ((this.limit - lasting) * share) / 4
  }
}
