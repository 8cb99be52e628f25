/**
 * The table of forwarded ports: which ports of the host lead where at the guest. It may change at any time: adding a
 * rule opens its ports, removing it closes them.
 *
 * A port becomes a socket by `Listeners.listen`: the stack finds the protocol's handler, whose `listen` opens it.
 */
import { Interface, type InterfaceId, IpProtocol, isShortage, type ListenerRef, type Listeners } from "@demiflow/core"
import type { ForwardingRule } from "./forwarding-rule.ts"
import { type OpenPorts, PortChange } from "./port-change.ts"

/** The result of adding a rule. */
export interface ForwardingOutcome {
  /** Ports opened. */
  readonly opened: number
  /** The first port that could not be opened, and its (positive) error number. */
  readonly failure: { readonly port: number; readonly errno: number } | undefined
}

/** The ports that are bound at an end, by IP protocol number. */
export type BoundPorts = (protocol: number) => Iterable<number>

/** The table. */
export class PortForwarding {
  readonly #stack: Listeners
  #listeners: OpenPorts = new Map()
  #change: PortChange | undefined

  constructor(stack: Listeners) {
    this.#stack = stack
  }

  /** Rules in the order in which they were added. */
  get rules(): ForwardingRule[] {
    return [...this.#listeners.keys()]
  }

  /**
   * Opens the ports of a rule. All or nothing: one port that can't be opened closes the others, and the rule is not
   * added. A best-effort rule keeps the ports that it got and is added, unless descriptors ran out. An automatic rule
   * has no port open before {@link PortForwarding.follow}.
   */
  add(rule: ForwardingRule): ForwardingOutcome {
    const listeners = new Map<number, ListenerRef>()
    let failure: ForwardingOutcome["failure"]
    for (let port = rule.firstPort; port <= rule.lastPort && !rule.isAuto; port++) {
      const ref = this.#listen(rule, port)
      if (ref >= 0) {
        listeners.set(port, ref)
        continue
      }
      failure ??= { port, errno: -ref }
      if (rule.isBestEffort && !isShortage(-ref)) continue
      this.#close(listeners)
      return { opened: 0, failure }
    }
    this.#listeners.set(rule, listeners)
    return { opened: listeners.size, failure }
  }

  /** Closes the ports of a rule; false if it isn't in the table. TCP flows that began there go on, UDP flows end. */
  remove(rule: ForwardingRule): boolean {
    const listeners = this.#listeners.get(rule)
    if (listeners === undefined) return false
    this.#listeners.delete(rule)
    this.#close(listeners)
    return true
  }

  /**
   * Begins to replace all rules, all or nothing: ports that both tables have, with the same target, stay open. Call
   * `advance` of the result until it is done; until then the rules are the old ones, and {@link PortForwarding.follow}
   * does nothing. Throws if a change is under way.
   */
  replace(rules: readonly ForwardingRule[]): PortChange {
    if (this.#change !== undefined) throw new Error("The ports are being changed already")
    this.#change = new PortChange(
      rules,
      this.#listeners,
      (rule, port) => this.#listen(rule, port),
      (ref) => this.#stack.unlisten(ref),
      (listeners) => {
        this.#change = undefined
        this.#listeners = listeners
      },
    )
    return this.#change
  }

  /**
   * Adapts the automatic rules with ports at `end`: a port is opened if its target port is bound at the other end, else
   * closed. What this table itself has bound there doesn't count, or two rules would lead to each other.
   *
   * Ports for which no descriptor can be spared stay closed until a later call. Returns whether there were any.
   *
   * UDP also follows TCP, because protocols such as iperf3's use both: a port counts as bound for UDP while TCP is
   * bound to its number and a TCP rule leads there.
   *
   * @param bound ports that are bound at the other end
   * @param connected ports of connected sockets there, called after `bound`: a UDP server that connects its socket to
   *   its client keeps the port that was open for it
   */
  follow(end: InterfaceId, bound: BoundPorts, connected: BoundPorts = () => []): boolean {
    if (this.#change !== undefined) return false
    const { tcp, udp } = IpProtocol
    const tcpTargets = this.#boundByOthers(end, tcp, bound)
    const isShort = this.#adaptAll(end, tcp, tcpTargets, tcpTargets)
    if (!this.#follows(end, udp)) return isShort
    const forwarded = this.#targetsOf(end, tcp).filter((port) => tcpTargets.has(port))
    const udpTargets = this.#boundByOthers(end, udp, (protocol) => [...bound(protocol), ...forwarded])
    return this.#adaptAll(end, udp, udpTargets, new Set([...udpTargets, ...connected(udp)])) || isShort
  }

  #follows(end: InterfaceId, protocol: number): boolean {
    return this.rules.some((rule) => rule.isAuto && rule.interface === end && rule.protocol === protocol)
  }

  /** Returns the ports that others have bound at the other end. Doesn't call `bound` if no rule needs it. */
  #boundByOthers(end: InterfaceId, protocol: number, bound: BoundPorts): Set<number> {
    const isWanted = this.#follows(end, protocol) || this.#follows(end, IpProtocol.udp)
    const ports = new Set(isWanted ? bound(protocol) : [])
    const other = end === Interface.host ? Interface.splice : Interface.host
    for (const port of ports.size > 0 ? this.#stack.portsInUse(protocol, other) : []) ports.delete(port)
    for (const [rule, listeners] of this.#listeners) {
      if (rule.interface === end || rule.protocol !== protocol) continue
      for (const port of listeners.keys()) ports.delete(port)
    }
    return ports
  }

  /** Returns the targets of the ports that are open at an end. */
  #targetsOf(end: InterfaceId, protocol: number): number[] {
    return [...this.#listeners].flatMap(([rule, listeners]) => {
      if (rule.interface !== end || rule.protocol !== protocol) return []
      return [...listeners.keys()].map((port) => port + rule.firstTargetPort - rule.firstPort)
    })
  }

  #adaptAll(end: InterfaceId, protocol: number, targets: ReadonlySet<number>, kept: ReadonlySet<number>): boolean {
    let isShort = false
    for (const [rule, listeners] of this.#listeners) {
      const isConcerned = rule.isAuto && rule.interface === end && rule.protocol === protocol
      if (isConcerned && !this.#adapt(rule, listeners, targets, kept)) isShort = true
    }
    return isShort
  }

  /**
   * Returns false if there was no descriptor for one of the ports: the remaining ones aren't tried.
   *
   * @param kept targets whose ports stay open if they are
   */
  #adapt(
    rule: ForwardingRule,
    listeners: Map<number, ListenerRef>,
    targets: ReadonlySet<number>,
    kept: ReadonlySet<number>,
  ): boolean {
    const shift = rule.firstTargetPort - rule.firstPort
    for (const [port, ref] of listeners) {
      if (kept.has(port + shift)) continue
      listeners.delete(port)
      this.#stack.unlisten(ref)
    }
    for (const target of targets) {
      const port = target - shift
      if (port < rule.firstPort || port > rule.lastPort || listeners.has(port)) continue
      const ref = this.#listen(rule, port)
      if (ref >= 0) listeners.set(port, ref)
      else if (isShortage(-ref)) return false
    }
    return true
  }

  #listen(rule: ForwardingRule, port: number): ListenerRef {
    const { protocol, address, interfaceName, freebind, isAuto, targetAddress } = rule
    const targetPort = rule.firstTargetPort + port - rule.firstPort
    const end = { address, port, interfaceName, freebind, isAuto }
    return this.#stack.listen(protocol, end, targetAddress, targetPort, rule.interface)
  }

  #close(listeners: ReadonlyMap<number, ListenerRef>): void {
    for (const ref of listeners.values()) this.#stack.unlisten(ref)
  }
}
