import { type Address, Demiflow, type FlowTable, type Random, type SideRef } from "@demiflow/core"
import { KeyedHash } from "@demiflow/flow"
import type { SharedPort } from "@demiflow/protocol-kit"

/** Flows with one hash that are compared: there are hardly ever two. */
const MOST_COMPARED = 8

/** A flow, seen as one with a correspondent. */
export interface Correspondence {
  readonly port: SharedPort | undefined
  /** The side that has the correspondent's address. */
  readonly hostSide: SideRef
  olderAlike: Correspondence | undefined
  newerAlike: Correspondence | undefined
  alikeKey: number
}

/**
 * Records which addresses the guest corresponds with from which of its ports. A datagram from such an address, from
 * whatever port, is for the guest (RFC 4787, REQ-8: address-dependent filtering), and the newest flow says for which of
 * its addresses.
 *
 * Flows are found by a keyed hash, so that nobody can choose addresses that hide each other.
 */
export class Correspondents<Flow extends Correspondence> {
  readonly #hash: KeyedHash
  readonly #words = new Int32Array(5)
  readonly #newest = new Map<number, Flow>()
  readonly #flows: Pick<FlowTable, "readSide">
  readonly #side = new Demiflow()

  constructor(flows: Pick<FlowTable, "readSide">, random: Random) {
    this.#flows = flows
    this.#hash = new KeyedHash(random.int32(), random.int32())
  }

  /** @param address of the correspondent on the host */
  add(flow: Flow, port: SharedPort, address: Address): void {
    const key = this.#keyOf(port, address)
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

  /** Returns the newest flow at the port with a correspondent at this address. */
  find(port: SharedPort, address: Address): Flow | undefined {
    let flow = this.#newest.get(this.#keyOf(port, address)) as Correspondence | undefined
    for (let seen = 0; flow !== undefined && seen < MOST_COMPARED; seen++, flow = flow.olderAlike) {
      if (flow.port !== port) continue
      this.#flows.readSide(flow.hostSide, this.#side)
      if (this.#side.correspondentAddress.equals(address)) return flow as Flow
    }
    return undefined
  }

  #keyOf(port: SharedPort, { word0, word1, word2, word3 }: Address): number {
    const words = this.#words
    words[0] = port.number
    words[1] = word0
    words[2] = word1
    words[3] = word2
    words[4] = word3
    return this.#hash.hash(words, 0, words.length)
  }
}
