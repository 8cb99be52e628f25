/** The forwarded ports of a running program, as pesto sees and changes them. */
import { type Configuration, formatRule, overlaps } from "@demiflow/config"
import { Interface, type InterfaceId, IpProtocol } from "@demiflow/core"
import type { ChangeOutcome, ForwardingRule, PortChange, PortForwarding, UnavailablePort } from "@demiflow/flow"
import {
  type PestoAnswer,
  PestoCapability,
  PestoPlace,
  type PestoRule,
  type PestoTable,
  type PestoUpdate,
} from "@demiflow/pesto-protocol"
import { describeError, describePort } from "../port-names.ts"
import type { SpareDescriptors } from "../spare-descriptors.ts"

/** Ports that are opened or closed in one turn: a few milliseconds. */
const PORTS_IN_A_TURN = 128

type Settings = Pick<Configuration, "program" | "protocols" | "v4" | "v6" | "splicing" | "freebind">

interface Waiting {
  readonly rules: readonly ForwardingRule[]
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
  #current: PortChange | undefined

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

  /** The tables as they are. */
  get tables(): PestoTable[] {
    const { host, splice } = Interface
    const places: InterfaceId[] = this.#settings.splicing === undefined ? [host] : [host, splice]
    return places.map((place) => ({
      ...(place === host ? PestoPlace.host : PestoPlace.splice),
      capabilities: this.#capabilities,
      rules: this.#forwarding.rules.filter((rule) => rule.interface === place),
    }))
  }

  /** Changes the tables to these, after all changes before. `done` is called once. */
  change(update: PestoUpdate, done: (answer: PestoAnswer) => void): void {
    const rules = this.#rulesOf(update)
    if (typeof rules === "string") done({ isDone: false, message: rules })
    else {
      this.#waiting.push({ rules, done })
      if (this.#current === undefined) this.#begin()
    }
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
  #rulesOf(update: PestoUpdate): ForwardingRule[] | string {
    const rules: ForwardingRule[] = []
    for (const { id, rules: wanted } of update) {
      const place = id === PestoPlace.host.id ? Interface.host : Interface.splice
      if (!this.tables.some((table) => table.id === id)) return `There is no table ${id}`
      for (const rule of wanted) {
        const converted = { ...rule, interface: place, freebind: place === Interface.host && this.#settings.freebind }
        const problem = this.#findProblem(rule) ?? this.#findUnreachable(converted)
        if (problem !== undefined) return `${formatRule(converted)}: ${problem}`
        const other = rules.find((known) => overlaps(known, converted))
        if (other !== undefined) return `${formatRule(converted)}: ${formatRule(other)} has these ports already`
        rules.push(converted)
      }
    }
    return rules
  }

  #findProblem({ protocol, address, targetAddress, isAuto }: PestoRule): string | undefined {
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
    const next = this.#waiting[0]
    if (next === undefined) return
    // With few left, ports can still be closed.
    this.#spare.hold()
    this.#current = this.#forwarding.replace(next.rules)
    this.#advance()
  }

  #advance(): void {
    const outcome = this.#current?.advance(PORTS_IN_A_TURN)
    if (outcome === undefined) {
      setImmediate(() => this.#advance())
      return
    }
    this.#current = undefined
    this.#spare.release()
    const { done } = this.#waiting.shift() as Waiting
    if (outcome.isDone) this.#onChanged(this.#forwarding.rules)
    done(describe(outcome))
    this.#begin()
  }
}

function describe({ isDone, unavailable, lost }: ChangeOutcome): PestoAnswer {
  const lines = [
    ...unavailable.map((port) => `Listen failed for ${describeUnavailable(port)}`),
    ...lost.map((port) => `Couldn't restore ${describeUnavailable(port)}`),
  ]
  return { isDone, message: lines.join("\n") }
}

function describeUnavailable({ rule, port, errno }: UnavailablePort): string {
  return `${describePort(rule, port)}: ${describeError(errno)}`
}
