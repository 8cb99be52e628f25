import type { Clock, Demiflow, Random } from "@demiflow/core"
import { KeyedHash } from "@demiflow/flow"
import { advance, distance } from "../connection/sequence-number.ts"

/**
 * Initial sequence numbers by RFC 6528: a clock that counts every 4 µs, plus a keyed hash of the connection's ends. A
 * guest can't infer one connection's number from another's, and the numbers of one pair of ends increase.
 */
export class InitialSequence {
  readonly #hash: KeyedHash
  readonly #clock: Clock
  readonly #words = new Int32Array(9)

  constructor(random: Random, clock: Clock) {
    this.#hash = new KeyedHash(random.int32(), random.int32())
    this.#clock = clock
  }

  /**
   * Returns the number for a connection with this tap side, a signed 32-bit integer.
   *
   * @param highest where the last connection of the same ends stopped, if it is still in TIME-WAIT: a fast connection
   *   may have used more numbers than the clock has counted, so the new one begins behind them (RFC 9293, section
   *   3.6.1)
   */
  next(tapSide: Demiflow, highest?: number): number {
    const words = this.#words
    const forwarding = tapSide.forwardingAddress
    const correspondent = tapSide.correspondentAddress
    words[0] = forwarding.word0
    words[1] = forwarding.word1
    words[2] = forwarding.word2
    words[3] = forwarding.word3
    words[4] = correspondent.word0
    words[5] = correspondent.word1
    words[6] = correspondent.word2
    words[7] = correspondent.word3
    words[8] = (tapSide.forwardingPort << 16) | tapSide.correspondentPort
    const number = (this.#hash.hash(words, 0, words.length) + this.#clock.now * 250) | 0
    return highest === undefined || distance(highest, number) > 0 ? number : advance(highest, 1)
  }
}
