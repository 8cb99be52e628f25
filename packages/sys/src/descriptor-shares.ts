/**
 * Shares of a process's descriptors, so that no outsider, and no flood from the guest, takes the last ones.
 *
 * The kernel assigns the lowest free number, so a new descriptor's number says how many are taken and no counting is
 * needed. Each kind of socket may use numbers up to a limit, and more important kinds have higher limits: the first to
 * stop are ports that follow what is bound, then flows that begin outside, then single exchanges of the guest. The
 * guest's connections may use all descriptors. Numbers belong to the process: all its hosts share one
 * {@link DescriptorShares}.
 *
 * What the user has requested (forwarded ports) is permanent, and counts as taken from the start.
 */
import { readFileSync } from "node:fs"
import type { Native } from "./native.ts"

/**
 * The limit of each kind of socket, in quarters of the descriptors. Ports inside a namespace that follow others stop
 * before those of the host: anybody on the host may bind the ports that they follow.
 */
export const DescriptorShare = { autoPortsInside: 0.5, autoPorts: 1, fromOutside: 2, exchanges: 3 } as const

type Share = (typeof DescriptorShare)[keyof typeof DescriptorShare]

/**
 * Within this distance of a share's end, the next number is probed before anything else is taken that could wait. It
 * covers descriptors that the process opens briefly or for itself, which nobody records.
 */
const MARGIN = 16

/** The soft limit of open files of this process; Infinity if it can't be read. */
export function descriptorLimit(): number {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))
    return limit === null ? Number.POSITIVE_INFINITY : Number(limit[1])
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

/** Decides which descriptors a kind of socket may use. */
export class DescriptorShares {
  readonly #native: Native
  /** Descriptors of the process. */
  readonly limit: number
  /** Descriptors that are taken permanently. */
  #lasting = 0
  /**
   * The highest number recorded, -1 before the first. The newest one doesn't predict the next: it may have filled a
   * gap.
   */
  #highest = -1

  /** @param limit descriptors of the process */
  constructor(native: Native, limit: number) {
    this.#native = native
    this.limit = limit
  }

  /** Records a permanent descriptor: shares are parts of the rest. */
  last(descriptor: number): void {
    if (descriptor >= this.#lasting) this.#lasting = descriptor + 1
  }

  /** Records a new descriptor of any kind. */
  made(descriptor: number): void {
    if (descriptor > this.#highest) this.#highest = descriptor
  }

  /** True if a new descriptor is within the share. */
  allows(share: Share, descriptor: number): boolean {
    this.made(descriptor)
    return descriptor < this.#endOf(share)
  }

  /** True if the next descriptor will be within the share, provided that all long-lived descriptors are recorded. */
  allowsNext(share: Share): boolean {
    // The next number is at most one above the highest.
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
