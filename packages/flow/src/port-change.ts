/**
 * The change from one set of forwarding rules to another while the ports are in use.
 *
 * A port that both sets have stays open, so no connection to it is refused. A new port may need a place that an old one
 * has (the same number at another address): old ports with the number of a new one are closed first, and opened again
 * if the change fails. A table may have tens of thousands of ports, so the change is made in pieces.
 */
import { isShortage, type ListenerRef } from "@demiflow/core"
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
  /** False if the rules are the old ones. UDP flows of ports that had to be closed meanwhile have ended even so. */
  readonly isDone: boolean
  /**
   * The port that made the change fail. If it didn't fail, the first port of each best-effort rule that got none;
   * automatic rules need none.
   */
  readonly unavailable: readonly UnavailablePort[]
  /** Ports that were open before a failed change, and aren't any more: another program has taken them meanwhile. */
  readonly lost: readonly UnavailablePort[]
}

interface OpenPort {
  readonly rule: ForwardingRule
  readonly port: number
  readonly ref: ListenerRef
}

/** Opens a port. Returns a negated error number on failure. */
type Open = (rule: ForwardingRule, port: number) => ListenerRef

/** A change under way. Each `yield` is one port considered, opened or closed. */
export class PortChange {
  readonly #open: Open
  readonly #close: (ref: ListenerRef) => void
  readonly #finish: (listeners: OpenPorts) => void
  readonly #before: OpenPorts
  readonly #after: OpenPorts
  readonly #work: Generator<undefined, ChangeOutcome>
  #outcome: ChangeOutcome | undefined
  #isUndoing = false

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

  /** True once the change has failed, and the ports that it closed are opened again. */
  get isUndoing(): boolean {
    return this.#isUndoing
  }

  /**
   * Goes on. Returns how the change ended, once it has. Also returns when the change has failed, before it is undone.
   *
   * @param most ports to consider, open or close now
   */
  advance(most: number): ChangeOutcome | undefined {
    const wasUndoing = this.#isUndoing
    for (let count = 0; count < most && this.#outcome === undefined; count++) {
      const { done, value } = this.#work.next()
      if (done) this.#outcome = value
      if (this.#isUndoing !== wasUndoing) break
    }
    return this.#outcome
  }

  *#change(): Generator<undefined, ChangeOutcome> {
    const closed: OpenPort[] = []
    const leaving: OpenPort[] = []
    for (const each of yield* this.#keep()) {
      if (this.#isWanted(each)) {
        this.#close(each.ref)
        closed.push(each)
      } else leaving.push(each)
      yield
    }
    const opened: ListenerRef[] = []
    const unavailable: UnavailablePort[] = []
    for (const [rule, listeners] of this.#after) {
      let failure: UnavailablePort | undefined
      for (let port = rule.firstPort; port <= rule.lastPort && !rule.isAuto; port++) {
        yield
        if (listeners.has(port)) continue
        const ref = this.#open(rule, port)
        if (ref >= 0) {
          opened.push(ref)
          listeners.set(port, ref)
          continue
        }
        failure ??= { rule, port, errno: -ref }
        if (!rule.isBestEffort || isShortage(-ref)) {
          return yield* this.#undo({ rule, port, errno: -ref }, opened, closed)
        }
      }
      if (failure !== undefined && listeners.size === 0) unavailable.push(failure)
    }
    for (const { ref } of leaving) {
      this.#close(ref)
      yield
    }
    this.#finish(this.#after)
    return { isDone: true, unavailable, lost: [] }
  }

  /** Hands the listeners that stay to the new rules. Returns the others. */
  *#keep(): Generator<undefined, OpenPort[]> {
    const heirs = new Map<string, ForwardingRule[]>()
    for (const rule of this.#after.keys()) {
      const kind = kindOf(rule)
      heirs.set(kind, [...(heirs.get(kind) ?? []), rule])
    }
    const leaving: OpenPort[] = []
    for (const [rule, listeners] of this.#before) {
      const candidates = heirs.get(kindOf(rule)) ?? []
      for (const [port, ref] of listeners) {
        const heir = candidates.find((candidate) => hasPort(candidate, port))
        if (heir === undefined) leaving.push({ rule, port, ref })
        else this.#after.get(heir)?.set(port, ref)
        yield
      }
    }
    return leaving
  }

  /** True if a new rule opens a port with this number, which may exclude this one. */
  #isWanted({ rule, port }: OpenPort): boolean {
    for (const other of this.#after.keys()) {
      const isAlike = other.interface === rule.interface && other.protocol === rule.protocol
      if (isAlike && !other.isAuto && hasPort(other, port)) return true
    }
    return false
  }

  *#undo(
    failure: UnavailablePort,
    opened: readonly ListenerRef[],
    closed: readonly OpenPort[],
  ): Generator<undefined, ChangeOutcome> {
    this.#isUndoing = true
    yield
    for (const ref of opened) {
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

/** Two rules of one kind listen alike at a port that both have, and lead to the same target. */
function kindOf(rule: ForwardingRule): string {
  const { interface: place, protocol, address, interfaceName, freebind, targetAddress } = rule
  const shift = rule.firstTargetPort - rule.firstPort
  return [place, protocol, address ?? "*", interfaceName ?? "", freebind, targetAddress ?? "*", shift].join(" ")
}

function hasPort({ firstPort, lastPort }: ForwardingRule, port: number): boolean {
  return firstPort <= port && port <= lastPort
}
