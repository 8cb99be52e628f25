/** The forwarded ports of a running program, as pesto sees and changes them. */
import { anyAddress, type Configuration, formatRule, overlaps } from "@demiflow/config"
import { Interface, type InterfaceId, IpProtocol } from "@demiflow/core"
import type { ChangeOutcome, ForwardingRule, PortChange, PortForwarding } from "@demiflow/flow"
import {
  type PestoAnswer,
  PestoCapability,
  PestoPlace,
  type PestoTable,
  type PestoUpdate,
} from "@demiflow/pesto-protocol"
import { describeError, describePort } from "../port-names.ts"
import type { SpareDescriptors } from "../spare-descriptors.ts"

/** Ports that are considered, opened or closed in one turn: some 10 µs each. */
const PORTS_IN_A_TURN = 128
/** Ports of all rules together, at most: all of both protocols. */
const MOST_PORTS = 2 * 65_535

type Settings = Pick<Configuration, "program" | "protocols" | "v4" | "v6" | "splicing" | "freebind">

interface Waiting {
  readonly rules: readonly ForwardingRule[]
  /** The only version of the tables that may be changed; undefined: any. */
  readonly version: number | undefined
  readonly done: (answer: PestoAnswer) => void
}

/** What to do after a change. */
export type OnChanged = (rules: readonly ForwardingRule[]) => void

/** Shows the table, and makes one change after another. */
export class ForwardedPorts {
  readonly #forwarding: PortForwarding
  readonly #settings: Settings
  readonly #spare: Pick<SpareDescriptors, "hold" | "release">
  readonly #onChanged: OnChanged
  readonly #waiting: Waiting[] = []
  readonly #settled: (() => void)[] = []
  #current: PortChange | undefined
  #next: NodeJS.Immediate | undefined
  #version = 0

  /** @param spare what a change must leave for connections */
  constructor(
    forwarding: PortForwarding,
    settings: Settings,
    spare: Pick<SpareDescriptors, "hold" | "release">,
    onChanged: OnChanged,
  ) {
    this.#forwarding = forwarding
    this.#settings = settings
    this.#spare = spare
    this.#onChanged = onChanged
  }

  /** Counts the changes. */
  get version(): number {
    return this.#version
  }

  /** The tables as they are. */
  get tables(): PestoTable[] {
    const { rules } = this.#forwarding
    const capabilities = this.#capabilities
    return this.#places.map((place) => ({
      ...(place === Interface.host ? PestoPlace.host : PestoPlace.splice),
      capabilities,
      rules: rules.filter((rule) => rule.interface === place),
    }))
  }

  /** The numbers of the tables. */
  get ids(): number[] {
    return this.#places.map((place) => (place === Interface.host ? PestoPlace.host.id : PestoPlace.splice.id))
  }

  /**
   * Changes the tables to these, after all changes before. `done` is called once.
   *
   * @param seen the version that the client has seen: the one that a conditional update is for
   */
  change({ tables, isConditional }: PestoUpdate, seen: number, done: (answer: PestoAnswer) => void): void {
    const rules = this.#rulesOf(tables)
    if (typeof rules === "string") done({ result: "failed", message: rules })
    else {
      this.#waiting.push({ rules, version: isConditional ? seen : undefined, done })
      if (this.#current === undefined) this.#begin()
    }
  }

  /**
   * Calls back once no change is under way, or waits: at once if there is none. Clients of the C project don't wait for
   * their change, and the next one has to see it.
   */
  whenSettled(callback: () => void): void {
    if (this.#current === undefined) callback()
    else this.#settled.push(callback)
  }

  /** Ends the change under way where it is; the listeners are closed with the stack. */
  close(): void {
    this.#waiting.length = 0
    clearImmediate(this.#next)
  }

  get #places(): InterfaceId[] {
    return this.#settings.splicing === undefined ? [Interface.host] : [Interface.host, Interface.splice]
  }

  get #capabilities(): number {
    const { program, protocols, v4, v6 } = this.#settings
    const { ipv4, ipv6, tcp, udp, auto, interfaceNames, answers } = PestoCapability
    return [
      v4 && ipv4,
      v6 && ipv6,
      protocols.tcp && tcp,
      protocols.udp && udp,
      program === "pasta" && auto,
      interfaceNames,
      answers,
    ].reduce<number>((bits, bit) => bits | (bit || 0), 0)
  }

  /** The rules that an update asks for, or one sentence on why they can't be. */
  #rulesOf(tables: PestoUpdate["tables"]): ForwardingRule[] | string {
    const { v4, v6, freebind } = this.#settings
    const rules: ForwardingRule[] = []
    let count = 0
    for (const { id, rules: wanted } of tables) {
      const place = id === PestoPlace.host.id ? Interface.host : Interface.splice
      for (const rule of wanted) {
        const address =
          rule.address ?? anyAddress(rule.targetAddress, { hasV4: v4 !== undefined, hasV6: v6 !== undefined })
        const converted = { ...rule, address, interface: place, freebind: place === Interface.host && freebind }
        const problem = this.#findProblem(converted) ?? this.#findUnreachable(converted)
        if (problem !== undefined) return `${formatRule(converted)}: ${problem}`
        const other = rules.find((known) => overlaps(known, converted))
        if (other !== undefined) return `${formatRule(converted)}: ${formatRule(other)} has these ports already`
        rules.push(converted)
        count += rule.lastPort - rule.firstPort + 1
      }
    }
    return count > MOST_PORTS ? `${count} ports are more than the ${MOST_PORTS} that are possible` : rules
  }

  #findProblem({ protocol, address, targetAddress, isAuto }: ForwardingRule): string | undefined {
    const { program, protocols, v4, v6 } = this.#settings
    if (!(protocol === IpProtocol.tcp ? protocols.tcp : protocols.udp)) return "the protocol is off"
    const isV4 = targetAddress?.isV4 ?? address?.isV4
    if (isV4 !== undefined && (isV4 ? v4 : v6) === undefined) return `${isV4 ? "IPv4" : "IPv6"} is off`
    return isAuto && program !== "pasta" ? "auto is for namespaces only" : undefined
  }

  /** The namespace's loopback is only reached from socket to socket, everything else only through the tap interface. */
  #findUnreachable({ interface: place, targetAddress }: ForwardingRule): string | undefined {
    if (place !== Interface.host || targetAddress === undefined) return undefined
    const { program, splicing } = this.#settings
    const canReach = targetAddress.isLoopback ? program === "passt" || splicing !== undefined : !splicing?.isOnly
    return canReach ? undefined : `${targetAddress} can't be reached`
  }

  #begin(): void {
    let next = this.#waiting[0]
    while (next?.version !== undefined && next.version !== this.#version) {
      this.#waiting.shift()
      next.done({ result: "outdated", message: "Another client has changed the ports meanwhile" })
      next = this.#waiting[0]
    }
    if (next === undefined) {
      for (const callback of this.#settled.splice(0)) callback()
      return
    }
    this.#current = this.#forwarding.replace(next.rules)
    this.#advance()
  }

  #advance(): void {
    // Only while ports are opened: connections may need every descriptor. With few left, ports can still be closed.
    if (this.#current?.isUndoing === false) this.#spare.hold()
    const outcome = this.#current?.advance(PORTS_IN_A_TURN)
    this.#spare.release()
    if (outcome === undefined) {
      this.#next = setImmediate(() => this.#advance())
      return
    }
    this.#current = undefined
    const finished = this.#waiting.shift()
    if (outcome.isDone || outcome.lost.length > 0) this.#version++
    if (outcome.isDone) this.#onChanged(this.#forwarding.rules)
    finished?.done(describe(outcome))
    this.#begin()
  }
}

function describe({ isDone, unavailable, lost }: ChangeOutcome): PestoAnswer {
  const lines = [
    ...unavailable.map((port) =>
      isDone
        ? `No port could be forwarded for ${formatRule(port.rule)}: ${describeError(port.errno)}`
        : `Listen failed for ${describePort(port.rule, port.port)}: ${describeError(port.errno)}`,
    ),
    ...lost.map(({ rule, port, errno }) => `Couldn't restore ${describePort(rule, port)}: ${describeError(errno)}`),
  ]
  return { result: isDone ? "done" : "failed", message: lines.join("\n") }
}
