import { type Components, Demiflow, Ruling, type SideRef, Verdict } from "@demiflow/core"

/**
 * Checks whether flows that the guest has begun would still be allowed: an address may have become the host's own, to
 * which the policy denies access.
 */
export class GoingOn {
  readonly #components: Pick<Components, "flows" | "verdicts">
  readonly #side = new Demiflow()
  readonly #ruling = new Ruling()

  constructor(components: Pick<Components, "flows" | "verdicts">) {
    this.#components = components
  }

  /**
   * Returns whether the policy would still forward the flow.
   *
   * @param protocol IP protocol number
   * @param initiating the flow's side towards the guest
   */
  isAllowed(protocol: number, initiating: SideRef): boolean {
    const { flows, verdicts } = this.#components
    flows.readSide(initiating, this.#side)
    return verdicts.again(protocol, this.#side, this.#ruling) === Verdict.forward
  }
}
