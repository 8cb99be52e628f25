import {
  type Address,
  type DecidedVerdictId,
  type Demiflow,
  type DropReason,
  type Drops,
  type Forwarding,
  type GuestEnds,
  type Listener,
  type Patience,
  type Ruling,
  Verdict,
  type VerdictId,
} from "@demiflow/core"

/** A policy whose methods never throw. What the policy throws costs the flow in question. */
export class GuardedForwarding implements Forwarding {
  readonly #policy: Forwarding
  readonly #drops: Drops
  readonly #failed: DropReason
  readonly #report: (error: unknown) => void

  /** @param report called with each error */
  constructor(policy: Forwarding, drops: Drops, report: (error: unknown) => void) {
    this.#policy = policy
    this.#drops = drops
    this.#failed = drops.reason("stack: policy failed")
    this.#report = report
  }

  get patience(): Patience | undefined {
    return this.#policy.patience
  }

  target(protocol: number, initiating: Demiflow, ruling: Ruling): VerdictId {
    ruling.clear()
    try {
      return this.#policy.target(protocol, initiating, ruling)
    } catch (error) {
      return this.#dropAfter(error, ruling)
    }
  }

  again(protocol: number, initiating: Demiflow, ruling: Ruling): DecidedVerdictId {
    try {
      return this.#policy.again?.(protocol, initiating, ruling) ?? Verdict.forward
    } catch (error) {
      return this.#dropAfter(error, ruling)
    }
  }

  hasOutboundAddress(isV4: boolean): boolean {
    try {
      return this.#policy.hasOutboundAddress(isV4)
    } catch (error) {
      this.#failedAside(error)
      return false
    }
  }

  targetAtGuest(listener: Listener, initiating: Demiflow, guest: GuestEnds, ruling: Ruling): VerdictId {
    ruling.clear()
    try {
      return this.#policy.targetAtGuest(listener, initiating, guest, ruling)
    } catch (error) {
      return this.#dropAfter(error, ruling)
    }
  }

  sourceTowardsGuest(source: Address, guest: GuestEnds): Readonly<Address> | undefined {
    try {
      return this.#policy.sourceTowardsGuest(source, guest)
    } catch (error) {
      this.#failedAside(error)
      return undefined
    }
  }

  translateToGuest(address: Address): void {
    try {
      this.#policy.translateToGuest(address)
    } catch (error) {
      this.#failedAside(error)
    }
  }

  #failedAside(error: unknown): void {
    this.#drops.count(this.#failed)
    this.#report(error)
  }

  /** The handler counts the packets of the flow. */
  #dropAfter(error: unknown, ruling: Ruling): typeof Verdict.drop {
    this.#report(error)
    return ruling.drop(this.#failed)
  }
}
