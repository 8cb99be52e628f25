import type { Address, Random, SharedPort } from "@demiflow/core"

/** Flows of one hash that are looked at: there are hardly ever two. */
const MOST_LOOKED_AT = 8

/** A flow, as one with a correspondent's address. */
export interface Correspondence {
  readonly port: SharedPort | undefined
  /** Address of the correspondent on the host. */
  readonly correspondent: Address
  olderAlike: Correspondence | undefined
  newerAlike: Correspondence | undefined
  alikeKey: number
}

/**
 * Which addresses the guest corresponds with from which of its ports: what comes from there, from whatever port, is for the
 * guest (RFC 4787, REQ-8: address-dependent filtering), and the newest flow says for which of its addresses.
 *
 * Found by a hash with a secret, so that nobody can choose addresses that are slow to look for.
 */
export class Correspondents<Flow extends Correspondence> {
  readonly #secret: number
  readonly #newest = new Map<number, Flow>()

  constructor(random: Random) {
    this.#secret = random.int32()
  }

  add(flow: Flow, port: SharedPort): void {
    const key = this.#hash(port, flow.correspondent)
    const older = this.#newest.get(key)
    flow.alikeKey = key
    flow.olderAlike = older
    flow.newerAlike = undefined
    if (older !== undefined) older.newerAlike = flow
    this.#newest.set(key, flow)
  }

  remove(flow: Flow): void {
    const { olderAlike, newerAlike, alikeKey } = flow
    if (olderAlike !== undefined) olderAlike.newerAlike = newerAlike
    if (newerAlike !== undefined) newerAlike.olderAlike = olderAlike
    else if (olderAlike !== undefined) this.#newest.set(alikeKey, olderAlike as Flow)
    else this.#newest.delete(alikeKey)
    flow.olderAlike = flow.newerAlike = undefined
  }

  /** The newest flow at the port with somebody at this address. */
  find(port: SharedPort, address: Address): Flow | undefined {
    let flow = this.#newest.get(this.#hash(port, address)) as Correspondence | undefined
    for (let seen = 0; flow !== undefined && seen < MOST_LOOKED_AT; seen++, flow = flow.olderAlike) {
      if (flow.port === port && flow.correspondent.equals(address)) return flow as Flow
    }
    return undefined
  }

  #hash(port: SharedPort, address: Address): number {
    let hash = mix(this.#secret, port.number)
    hash = mix(hash, address.word0)
    hash = mix(hash, address.word1)
    hash = mix(hash, address.word2)
    return mix(hash, address.word3)
  }
}

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e37_79b1)
  return Math.imul(mixed ^ (mixed >>> 15), 0x85eb_ca6b) | 0
}
