/** The tables as they are to be, from those that are. */
import {
  type ForwardedPorts,
  type ForwardingFacts,
  formatRule,
  overlaps,
  type PortRange,
  planForwarding,
} from "@demiflow/config"
import { Interface, IpProtocol } from "@demiflow/core"
import type { ForwardingRule } from "@demiflow/flow"
import { MOST_RULES, PestoCapability, PestoPlace, type PestoRule, type PestoTable } from "@demiflow/pesto-protocol"
import type { Command, PortsOption } from "./command-line.ts"

/** Thrown for commands that can't be carried out; `message` is one sentence for the user. */
export class CommandError extends Error {
  readonly code = "ERR_PESTO_COMMAND"
}

/**
 * Carries out the commands. Throws {@link CommandError} for a table that isn't there, a rule to delete that isn't there,
 * and ports that two rules would have.
 *
 * @param ephemeral ports that aren't part of `all`
 */
export function carryOut(
  commands: readonly Command[],
  before: readonly PestoTable[],
  ephemeral: PortRange,
): PestoTable[] {
  const tables = before.map((table) => ({ ...table, rules: [...table.rules] }))
  const replaced = new Set<string>()
  const find = (name: string) => {
    const table = tables.find((each) => each.name === name)
    if (table !== undefined) return table
    throw new CommandError(`There is no table ${name}, only ${tables.map((each) => each.name).join(" and ")}`)
  }
  for (const command of commands) {
    const name = command.kind === "clear" ? command.table : placeOf(command.of).name
    const table = find(name)
    if (command.kind === "clear" || (command.kind === "replace" && !replaced.has(name))) {
      table.rules.length = 0
      replaced.add(name)
    }
    if (command.kind === "clear" || command.ports === undefined) continue
    for (const rule of rulesOf(command.of, command.ports, table, ephemeral)) {
      if (command.kind === "delete") remove(table.rules, rule)
      else add(table.rules, rule)
    }
  }
  for (const { name, rules } of tables) {
    if (rules.length <= MOST_RULES) continue
    throw new CommandError(
      `${name} would have ${rules.length} rules, and ${MOST_RULES} are possible: clear it first (-C)`,
    )
  }
  return tables
}

/** The tables as users read them. */
export function formatTables(tables: readonly PestoTable[]): string {
  return tables
    .flatMap(({ name, rules }) => [`  ${name}`, ...rules.map((rule) => `    ${formatRule(inPlace(rule))}`)])
    .map((line) => `${line}\n`)
    .join("")
}

function placeOf(of: PortsOption): (typeof PestoPlace)[keyof typeof PestoPlace] {
  return of.interface === Interface.host ? PestoPlace.host : PestoPlace.splice
}

function rulesOf(
  of: PortsOption,
  ports: ForwardedPorts,
  { name, capabilities }: PestoTable,
  ephemeralPorts: PortRange,
): PestoRule[] {
  const { ipv4, ipv6, tcp, udp, auto } = PestoCapability
  const isTcp = of.protocol === IpProtocol.tcp
  if ((capabilities & (isTcp ? tcp : udp)) === 0) throw new CommandError(`${name} has no ${isTcp ? "TCP" : "UDP"}`)
  if (ports.isAuto && (capabilities & auto) === 0) throw new CommandError(`${name} has no automatic ports`)
  const facts: ForwardingFacts = {
    hasV4: (capabilities & ipv4) !== 0,
    hasV6: (capabilities & ipv6) !== 0,
    ephemeralPorts,
    freebind: false,
  }
  const plan = planForwarding([{ ...of, ports }], facts)
  if (plan.kind === "error") throw new CommandError(plan.message)
  return plan.rules.map(({ option: _option, interface: _place, freebind: _freebind, ...rule }) => rule)
}

function add(rules: PestoRule[], rule: PestoRule): void {
  const other = rules.find((known) => overlaps(inPlace(known), inPlace(rule)))
  if (other !== undefined) throw new CommandError(`'${format(rule)}' has ports of '${format(other)}'`)
  rules.push(rule)
}

function remove(rules: PestoRule[], rule: PestoRule): void {
  const index = rules.findIndex((known) => format(known) === format(rule))
  if (index >= 0) {
    rules.splice(index, 1)
    return
  }
  const part = rules.find((known) => overlaps(inPlace(known), inPlace(rule)))
  const hint = part === undefined ? "" : `: '${format(part)}' isn't the same rule`
  throw new CommandError(`There is no rule '${format(rule)}' to delete${hint}`)
}

function format(rule: PestoRule): string {
  return formatRule(inPlace(rule))
}

/** Rules of one table are compared with each other only. */
function inPlace(rule: PestoRule): ForwardingRule {
  return { ...rule, interface: Interface.host, freebind: false }
}
