import { Demiflow } from "./demiflow.ts"
import type { SideRef } from "./flow-table.ts"
import { FORWARD } from "./forwarding.ts"
import type { Components } from "./plugin.ts"

/**
 * Whether flows that the guest has begun would still begin: an address may have become the host's own, which the policy keeps from
 * the guest.
 */
export class GoingOn {
  readonly #components: Pick<Components, "flows" | "forwarding">
  readonly #side = new Demiflow()
  readonly #target = new Demiflow()

  constructor(components: Pick<Components, "flows" | "forwarding">) {
    this.#components = components
  }

  /**
   * @param protocol IP protocol number
   * @param initiating the flow's side of the guest
   */
  isAllowed(protocol: number, initiating: SideRef): boolean {
    const { flows, forwarding } = this.#components
    flows.readSide(initiating, this.#side)
    return forwarding.target(protocol, this.#side, this.#target) === FORWARD
  }
}
