/**
 * The change from one set of forwarding rules to another while the ports are in use.
 *
 * A port that both sets have stays open, so no connection to it is refused. A new port may need a place that an old one
 * has (the same number at another address): old ports with the number of a new one are closed first, and opened again
 * if the change fails. A table may have tens of thousands of ports, so the change is made in pieces.
 */
import { type Address, isShortage, type ListenerRef } from "@demiflow/core"
import type { ForwardingRule } from "./forwarding-rule.ts"

/** Rules in the order in which they were added, with their listeners by port. */
export type OpenPorts = Map<ForwardingRule, Map<number, ListenerRef>>

/** A port that can't be opened. */
export interface UnavailablePort {
  readonly rule: ForwardingRule
  readonly port: number
  /** Positive. */
  readonly errno: number
}

/** How a change ended. */
export interface ChangeOutcome {
  /** False if nothing was changed. */
  readonly isDone: boolean
  /** Ports that could not be opened: those of best-effort rules, or the one that made the change fail. */
  readonly unavailable: readonly UnavailablePort[]
  /** Ports that were open before a failed change, and aren't any more: another program has taken them meanwhile. */
  readonly lost: readonly UnavailablePort[]
}

/** Failures of best-effort rules that an outcome names at most. */
const MOST_NAMED = 16

interface Port {
  readonly rule: ForwardingRule
  readonly port: number
}

interface OpenPort extends Port {
  readonly ref: ListenerRef
}

/** Opens a port. Returns a negated error number on failure. */
type Open = (rule: ForwardingRule, port: number) => ListenerRef

/** A change under way. */
export class PortChange {
  readonly #open: Open
  readonly #close: (ref: ListenerRef) => void
  readonly #finish: (listeners: OpenPorts) => void
  readonly #before: OpenPorts
  readonly #after: OpenPorts
  /** Calls to {@link PortChange.advance} work on this. */
  readonly #work: Generator<undefined, ChangeOutcome>
  readonly #unavailable: UnavailablePort[] = []
  #outcome: ChangeOutcome | undefined

  constructor(
    rules: readonly ForwardingRule[],
    before: OpenPorts,
    open: Open,
    close: (ref: ListenerRef) => void,
    finish: (listeners: OpenPorts) => void,
  ) {
    this.#open = open
    this.#close = close
    this.#finish = finish
    this.#before = before
    this.#after = new Map(rules.map((rule) => [rule, new Map()]))
    this.#work = this.#change()
  }

  /**
   * Goes on. Returns how the change ended, once it has.
   *
   * @param most ports to consider, open or close now
   */
  advance(most: number): ChangeOutcome | undefined {
    for (let count = 0; count < most && this.#outcome === undefined; count++) {
      const { done, value } = this.#work.next()
      if (done) this.#outcome = value
    }
    return this.#outcome
  }

  *#change(): Generator<undefined, ChangeOutcome> {
    const open = new Map<string, OpenPort>()
    for (const [rule, listeners] of this.#before) {
      for (const [port, ref] of listeners) {
        open.set(keyOf(rule, port), { rule, port, ref })
        yield
      }
    }
    const wanted: Port[] = []
    const places = new Set<string>()
    for (const [rule, listeners] of this.#after) {
      for (let port = rule.firstPort; port <= rule.lastPort; port++) {
        const key = keyOf(rule, port)
        const staying = open.get(key)
        if (staying !== undefined && open.delete(key)) listeners.set(port, staying.ref)
        else if (!rule.isAuto) {
          wanted.push({ rule, port })
          places.add(placeOf(rule, port))
        }
        yield
      }
    }
    const leaving = [...open.values()]
    const inTheWay = leaving.filter(({ rule, port }) => places.has(placeOf(rule, port)))
    for (const { ref } of inTheWay) {
      this.#close(ref)
      yield
    }
    const opened: OpenPort[] = []
    for (const { rule, port } of wanted) {
      const ref = this.#open(rule, port)
      yield
      if (ref >= 0) {
        opened.push({ rule, port, ref })
        this.#after.get(rule)?.set(port, ref)
        continue
      }
      const failure = { rule, port, errno: -ref }
      if (!rule.isBestEffort || isShortage(-ref)) return yield* this.#undo(failure, opened, inTheWay)
      if (this.#unavailable.length < MOST_NAMED) this.#unavailable.push(failure)
    }
    for (const { rule, port, ref } of leaving) {
      if (places.has(placeOf(rule, port))) continue
      this.#close(ref)
      yield
    }
    this.#finish(this.#after)
    return { isDone: true, unavailable: this.#unavailable, lost: [] }
  }

  *#undo(
    failure: UnavailablePort,
    opened: readonly OpenPort[],
    closed: readonly OpenPort[],
  ): Generator<undefined, ChangeOutcome> {
    for (const { ref } of opened) {
      this.#close(ref)
      yield
    }
    const lost: UnavailablePort[] = []
    for (const { rule, port } of closed) {
      const ref = this.#open(rule, port)
      if (ref >= 0) this.#before.get(rule)?.set(port, ref)
      else {
        this.#before.get(rule)?.delete(port)
        lost.push({ rule, port, errno: -ref })
      }
      yield
    }
    this.#finish(this.#before)
    return { isDone: false, unavailable: [failure], lost }
  }
}

/** What makes a port another one. */
function keyOf(rule: ForwardingRule, port: number): string {
  const { address, interfaceName, freebind, isAuto, targetAddress } = rule
  const target = rule.firstTargetPort + port - rule.firstPort
  const end = [textOf(address), interfaceName ?? "", freebind, isAuto].join("|")
  return `${placeOf(rule, port)} ${end} ${textOf(targetAddress)} ${target}`
}

/** Ports at the same place may exclude each other. */
function placeOf(rule: ForwardingRule, port: number): string {
  return `${rule.interface} ${rule.protocol} ${port}`
}

function textOf(address: Readonly<Address> | undefined): string {
  return address === undefined ? "*" : address.toString()
}
