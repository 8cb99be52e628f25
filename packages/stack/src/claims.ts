/** Which handlers are offered which packets, and in which order. */
import { type Arena, type Claim, type Disposition, NOT_MINE, type Sequence } from "@demiflow/core"
import type { GuardedHandlers } from "./guarded-handlers.ts"
import type { Registered } from "./registered.ts"

/** A handler with a claim, and the handlers before which the claim puts it. */
interface Claimant extends Registered {
  readonly before: readonly string[]
}

/** The claims of a stack's handlers, looked up for each sequence of packets. */
export class Claims {
  readonly #guarded: GuardedHandlers
  readonly #view: DataView
  /** Claims to one port or to one message type, by protocol · 65,536 + port or type. */
  readonly #byPort = new Map<number, Claimant[]>()
  readonly #byType = new Map<number, Claimant[]>()
  readonly #byProtocol: (Claimant[] | undefined)[] = []
  readonly #ofOtherProtocols: Claimant[] = []
  readonly #byEtherType = new Map<number, Claimant[]>()
  readonly #portProtocols = new Uint8Array(256)
  /** 1 for protocols of which single ports are claimed. */
  readonly #dividedProtocols = new Uint8Array(256)
  /** 1 for protocols of which message types are claimed. */
  readonly #typedProtocols = new Uint8Array(256)

  constructor(guarded: GuardedHandlers, arena: Arena) {
    this.#guarded = guarded
    this.#view = arena.view
  }

  /** True if the first four bytes of this IP protocol's header are ports, according to one of its handlers. */
  hasPorts(protocol: number): boolean {
    return this.#portProtocols[protocol] === 1
  }

  /** The handlers with a claim to a whole IP protocol, in their order. */
  ofProtocol(protocol: number): readonly Registered[] {
    return this.#byProtocol[protocol] ?? []
  }

  /** Adds a handler's claims. Throws {@link ClaimConflictError}, and has added none of them then. */
  add(registered: Registered): void {
    const ports = this.#portProtocols.slice()
    const divided = this.#dividedProtocols.slice()
    const types = this.#typedProtocols.slice()
    try {
      for (const claim of registered.handler.claims) this.#add(claim, registered)
    } catch (error) {
      this.#remove(registered)
      this.#portProtocols.set(ports)
      this.#dividedProtocols.set(divided)
      this.#typedProtocols.set(types)
      throw error
    }
  }

  #add(claim: Claim, registered: Registered): void {
    const claimant = { ...registered, before: claim.before ?? [] }
    if ("etherType" in claim) {
      insert(listOf(this.#byEtherType, claim.etherType), claimant, `EtherType ${claim.etherType}`)
      return
    }
    if ("otherIpProtocols" in claim) {
      insert(this.#ofOtherProtocols, claimant, "other IP protocols")
      return
    }
    const { ipProtocol } = claim
    if ("messageTypes" in claim) {
      this.#typedProtocols[ipProtocol] = 1
      for (const type of claim.messageTypes) {
        const what = `message type ${type} of IP protocol ${ipProtocol}`
        insert(listOf(this.#byType, (ipProtocol << 16) | type), claimant, what)
      }
    } else if (claim.forwardingPort !== undefined) {
      this.#portProtocols[ipProtocol] = 1
      this.#dividedProtocols[ipProtocol] = 1
      const what = `port ${claim.forwardingPort} of IP protocol ${ipProtocol}`
      insert(listOf(this.#byPort, (ipProtocol << 16) | claim.forwardingPort), claimant, what)
    } else {
      if (claim.hasPorts) this.#portProtocols[ipProtocol] = 1
      const claimants = this.#byProtocol[ipProtocol] ?? []
      insert(claimants, claimant, `IP protocol ${ipProtocol}`)
      this.#byProtocol[ipProtocol] = claimants
    }
    if (this.#portProtocols[ipProtocol] === 1 && this.#typedProtocols[ipProtocol] === 1) {
      throw new ClaimConflictError(`IP protocol ${ipProtocol} is claimed by port and by message type`)
    }
  }

  #remove({ number }: Registered): void {
    for (const map of [this.#byPort, this.#byType, this.#byEtherType]) {
      for (const [key, claimants] of map) if (!keepOthers(claimants, number)) map.delete(key)
    }
    keepOthers(this.#ofOtherProtocols, number)
    for (const [protocol, claimants] of this.#byProtocol.entries()) {
      if (claimants !== undefined && !keepOthers(claimants, number)) this.#byProtocol[protocol] = undefined
    }
  }

  /** Offers packets to the handlers with a claim on them, until one takes them. Throws what a handler throws. */
  dispatch(sequence: Sequence): Disposition {
    const { protocol } = sequence
    if (protocol < 0) return this.#offer(this.#byEtherType.get(sequence.etherType), sequence)
    if (this.#dividedProtocols[protocol] === 1 || this.#typedProtocols[protocol] === 1) {
      const disposition = this.#offer(this.#ofPart(sequence), sequence)
      if (disposition !== NOT_MINE) return disposition
    }
    return this.#offer(this.#byProtocol[protocol] ?? this.#ofOtherProtocols, sequence)
  }

  /** The handlers with a claim to the port or the message type of packets. */
  #ofPart(sequence: Sequence): readonly Claimant[] | undefined {
    const { protocol } = sequence
    if (this.#dividedProtocols[protocol] === 1) {
      return this.#byPort.get((protocol << 16) | sequence.demiflow.forwardingPort)
    }
    if (sequence.transportOffset[0] >= sequence.endOffset[0]) return undefined
    return this.#byType.get((protocol << 16) | this.#view.getUint8(sequence.transportOffset[0]))
  }

  #offer(claimants: readonly Claimant[] | undefined, sequence: Sequence): Disposition {
    if (claimants === undefined) return NOT_MINE
    for (let index = 0; index < claimants.length; index++) {
      const { handler, number } = claimants[index]
      this.#guarded.running = number
      const disposition = handler.fromGuest(sequence)
      if (disposition !== NOT_MINE) return disposition
    }
    return NOT_MINE
  }
}

/** Two handlers claim the same packets, and no claim says which is asked first. */
export class ClaimConflictError extends Error {
  readonly code = "ERR_CLAIM_CONFLICT"

  constructor(message: string) {
    super(message)
    this.name = "ClaimConflictError"
  }
}

function listOf(map: Map<number, Claimant[]>, key: number): Claimant[] {
  const claimants = map.get(key) ?? []
  map.set(key, claimants)
  return claimants
}

/** Removes the claimants with a handler number. Returns false if no others are left. */
function keepOthers(claimants: Claimant[], number: number): boolean {
  for (let index = claimants.length - 1; index >= 0; index--) {
    if (claimants[index].number === number) claimants.splice(index, 1)
  }
  return claimants.length > 0
}

/** Adds a claimant at its place: the order is that of the claims alone. */
function insert(claimants: Claimant[], claimant: Claimant, what: string): void {
  const { name } = claimant.handler
  let place = 0
  let last = claimants.length
  for (const [index, other] of claimants.entries()) {
    const otherName = other.handler.name
    const isBefore = claimant.before.includes(otherName)
    const isBehind = other.before.includes(name)
    if (isBefore === isBehind) {
      const both = `The handlers "${otherName}" and "${name}" both claim ${what}`
      throw new ClaimConflictError(`${both}: exactly one of the claims must name the other handler in "before"`)
    }
    if (isBehind) place = index + 1
    else last = Math.min(last, index)
  }
  if (place > last) throw new ClaimConflictError(`The claims to ${what} put "${name}" before itself: remove a "before"`)
  claimants.splice(place, 0, claimant)
}
