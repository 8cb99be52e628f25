// Finding the flow of a packet: the keyed hash, and look-ups in a table with two flows and with many.
import { Address, Demiflow, Drops, Interface } from "@demiflow/core"
import { FixedFlowTable, KeyedHash } from "@demiflow/flow"
import { SeededRandom } from "@demiflow/testkit"

const TCP = 6
const KEY_WORDS = 10
const ROUNDS = 64
const server = Address.parse("198.51.100.7")
const guest = Address.parse("192.0.2.2")

/** @param {number} index */
function demiflow(index) {
  return Demiflow.of(Interface.tap, server, 80 + (index >> 15), guest, 1 + (index & 0x7fff))
}

/** @param {number} flows */
function tableWith(flows) {
  const table = new FixedFlowTable({ random: new SeededRandom(1), drops: new Drops() })
  for (let index = 0; index < flows; index++) begin(table, demiflow(index))
  return table
}

/** @param {FixedFlowTable} table @param {Demiflow} side */
function begin(table, side) {
  return table.activate(table.target(table.initiate(table.allocate(0, TCP), side), side))
}

/**
 * Looks up the same number of flows whatever is in the table, to measure the table's work and not the
 * processor's caches.
 * @param {FixedFlowTable} table
 * @param {readonly Demiflow[]} asked
 */
function lookUp(table, asked) {
  return () => {
    let sum = 0
    for (let round = 0; round < ROUNDS; round++) sum += table.lookup(TCP, asked[round % asked.length])
    return sum
  }
}

/** @returns {import("../measure.mjs").HotFunction[]} */
export function functions() {
  const hash = new KeyedHash(0x12345678, 0x9abcdef0)
  const words = new Int32Array(KEY_WORDS + ROUNDS).map((_, index) => index * 0x01234567)
  const two = tableWith(2)
  const many = tableWith(50_000)
  const among = Array.from({ length: ROUNDS }, (_, index) => demiflow(index * 781))
  const unknown = Array.from({ length: ROUNDS }, (_, index) => demiflow(100_000 + index))
  const fresh = demiflow(100_000)
  return [
    {
      name: "keyed hash of a flow",
      unit: "flow",
      units: ROUNDS,
      work: () => {
        let sum = 0
        for (let round = 0; round < ROUNDS; round++) sum ^= hash.hash(words, round, KEY_WORDS)
        return sum
      },
    },
    // The flow that was found last is found without its hash: so two in turn.
    { name: "look-up, 2 flows", unit: "flow", units: ROUNDS, work: lookUp(two, [demiflow(0), demiflow(1)]) },
    { name: "look-up, 50,000 flows", unit: "flow", units: ROUNDS, work: lookUp(many, among) },
    { name: "look-up of none, 50,000 flows", unit: "flow", units: ROUNDS, work: lookUp(many, unknown) },
    {
      name: "beginning and end of a flow, 50,000 flows",
      unit: "flow",
      units: ROUNDS,
      work: () => {
        let sum = 0
        for (let round = 0; round < ROUNDS; round++) {
          const flow = begin(many, fresh)
          many.schedule(flow, 1_000 + round)
          many.release(flow)
          many.endTurn()
          sum += flow
        }
        return sum
      },
    },
  ]
}
