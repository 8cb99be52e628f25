// A whole stack, from frames to socket calls, whose ends cost nothing.
import { Drops, SocketEvent, targetSide } from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy } from "@demiflow/flow"
import { createStack } from "@demiflow/stack"
import { SeededRandom } from "@demiflow/testkit"
import { QuietHost } from "./quiet-host.mjs"

/** The host's side of the first flow that the guest begins. */
const HOST_SIDE = targetSide(/** @type {import("@demiflow/core").FlowIndex} */ (0))

export class QuietStack {
  clock = { now: 1_000 }
  drops = new Drops()
  #running

  /** @param {import("./quiet-link.mjs").QuietLink} link @param {import("@demiflow/core").ProtocolPlugin} plugin */
  constructor(link, plugin) {
    const { clock, drops } = this
    const random = new SeededRandom(1)
    this.link = link
    this.host = new QuietHost(link.arena)
    this.flows = new FixedFlowTable({ random, drops })
    const forwarding = new ForwardingPolicy({ v4: {}, v6: {} }, drops)
    const sockets = /** @type {import("@demiflow/core").Sockets} */ (/** @type {unknown} */ (this.host))
    const parts = { link, sockets, flows: this.flows, forwarding, clock, random, drops, plugins: [plugin] }
    this.#running = createStack(parts)
  }

  /** Delivers an event of the socket, and runs a turn, a millisecond after the last one. @param {number} events */
  turn(events) {
    this.clock.now++
    if (events !== 0) this.#running.stack.fromHost(HOST_SIDE, events)
    return this.#running.turn()
  }

  /** Makes data for the guest wait at the socket. @param {number} waiting */
  arrive(waiting) {
    this.host.waiting = waiting
    return this.turn(SocketEvent.readable | SocketEvent.writable)
  }

  /** @param {string} name */
  check(name) {
    if (this.flows.size !== 1 || this.drops.total > 0) {
      throw new Error(`${name}: ${this.flows.size} flows; dropped: ${this.drops.entries().join(" ")}`)
    }
  }
}
