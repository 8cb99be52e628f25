/**
 * The table of forwarded ports: which ports of the host lead where at the guest. It may be changed at any time; each rule
 * that is added has its ports listened at, each one removed has them closed.
 */
import type { Address, InterfaceId, ListenerRef, Stack } from "@demiflow/core"

/** A range of ports at one end, and the range of the same size at the other end that it leads to. */
export interface ForwardingRule {
  /** Where the ports are: `host` for those that lead to the guest, `splice` for those of its namespace that lead to the host. */
  readonly interface: InterfaceId
  /** IP protocol number: TCP or UDP. */
  readonly protocol: number
  /** As of a `ListeningEnd`: absent for any address of both IP versions. */
  readonly address: Readonly<Address> | undefined
  /** Only what arrives on this interface of the host. */
  readonly interfaceName: string | undefined
  /** 1–65535. */
  readonly firstPort: number
  /** `firstPort` to 65535. */
  readonly lastPort: number
  /** Absent: the address that the guest was last seen to use. */
  readonly targetAddress: Readonly<Address> | undefined
  /** 1–65535; the others follow in order. */
  readonly firstTargetPort: number
  /** True if ports that can't be had are passed over. */
  readonly isBestEffort: boolean
  /** True if a port is open only while its target port is bound at the other end. */
  readonly isAuto: boolean
  /** True to bind to an address that the host doesn't have, or not yet. */
  readonly freebind: boolean
}

/** What became of a rule. */
export interface ForwardingOutcome {
  /** Ports that lead to the guest now. */
  readonly opened: number
  /** The first port that could not be had, and its (positive) error number. */
  readonly failure: { readonly port: number; readonly errno: number } | undefined
}

/** The table. */
export class PortForwarding {
  readonly #stack: Pick<Stack, "listen" | "unlisten">
  /** Rules in the order in which they were added, with their listeners. */
  readonly #listeners = new Map<ForwardingRule, ListenerRef[]>()

  constructor(stack: Pick<Stack, "listen" | "unlisten">) {
    this.#stack = stack
  }

  /** In the order in which they were added. */
  get rules(): ForwardingRule[] {
    return [...this.#listeners.keys()]
  }

  /**
   * Listens at the ports of a rule. If one of them can't be had, none is, and the rule isn't added; but if the rule does
   * with what there is, it is added in any case.
   */
  add(rule: ForwardingRule): ForwardingOutcome {
    const listeners: ListenerRef[] = []
    let failure: ForwardingOutcome["failure"]
    for (let port = rule.firstPort; port <= rule.lastPort; port++) {
      const ref = this.#listen(rule, port)
      if (ref >= 0) {
        listeners.push(ref)
        continue
      }
      failure ??= { port, errno: -ref }
      if (rule.isBestEffort) continue
      this.#close(listeners)
      return { opened: 0, failure }
    }
    this.#listeners.set(rule, listeners)
    return { opened: listeners.length, failure }
  }

  /** Closes the ports of a rule; false if it isn't in the table. Flows that began there go on. */
  remove(rule: ForwardingRule): boolean {
    const listeners = this.#listeners.get(rule)
    if (listeners === undefined) return false
    this.#listeners.delete(rule)
    this.#close(listeners)
    return true
  }

  #listen(rule: ForwardingRule, port: number): ListenerRef {
    const { protocol, address, interfaceName, freebind, targetAddress } = rule
    const targetPort = rule.firstTargetPort + port - rule.firstPort
    return this.#stack.listen(protocol, { address, port, interfaceName, freebind }, targetAddress, targetPort)
  }

  #close(listeners: readonly ListenerRef[]): void {
    for (const ref of listeners) this.#stack.unlisten(ref)
  }
}
