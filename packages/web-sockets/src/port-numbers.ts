import { type Demiflow, Errno, UNSPECIFIED_V4, UNSPECIFIED_V6 } from "@demiflow/core"

const FIRST = 49_152
const COUNT = 16_384

/**
 * Port numbers of UDP sockets. Nobody sees them, as the relay has ports of its own; they distinguish the flows of
 * guests that use the same port.
 */
export class PortNumbers {
  readonly #used = [new Set<number>(), new Set<number>()]
  #next = 0

  /** Takes the forwarding port of a demiflow, or any if it is 0. Returns the number, or a negated error number. */
  take({ isV4, forwardingPort }: Demiflow): number {
    const used = this.#used[isV4 ? 0 : 1]
    let number = forwardingPort
    for (let tries = 0; number === 0 || (forwardingPort === 0 && used.has(number)); tries++) {
      if (tries === COUNT) return -Errno.EADDRINUSE
      number = FIRST + (this.#next++ % COUNT)
    }
    if (used.has(number)) return -Errno.EADDRINUSE
    used.add(number)
    return number
  }

  giveBack(isV4: boolean, number: number): void {
    this.#used[isV4 ? 0 : 1].delete(number)
  }
}

/** Fills in a forwarding end of which only the number is known. */
export function describeOwnEnd(demiflow: Demiflow, isV4: boolean, number: number): number {
  demiflow.forwardingAddress.copyFrom(isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6)
  demiflow.forwardingPort = number
  return 0
}
