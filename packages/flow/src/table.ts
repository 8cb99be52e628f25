/**
 * The flow table: one for all protocols, of fixed capacity. It may begin smaller, and doubles when flows need it.
 *
 * Everything is in flat arrays. A side's demiflow is ten words: interface and protocol, forwarding address,
 * correspondent address, both ports. Sides are found by open addressing with linear probing, in a table at least twice
 * as large as the number of sides. Removal moves later entries back: there are no tombstones, and lookups stay short.
 * Released places are reused only after the turn: an event gathered before the release can't reach a new flow.
 */
import type {
  Demiflow,
  DropReason,
  Drops,
  FlowEndId,
  FlowIndex,
  FlowTable,
  FlowTableListener,
  InitiatedFlow,
  InterfaceId,
  NewFlow,
  PlaceShareId,
  Random,
  RuleId,
  SideRef,
  TargetedFlow,
} from "@demiflow/core"
import { FlowEnd, initiatingSide, NO_RULE, NO_SIDE, PlaceShare, targetSide } from "@demiflow/core"
import { Deadlines } from "./deadlines.ts"
import { KeyedHash } from "./hash.ts"

/** Default capacity, flows. */
export const DEFAULT_FLOW_CAPACITY = 131_072

/** Due flows visited in one call. Ending a flow takes a few microseconds, during which packets wait. */
const EXPIRY_BUDGET = 64

const KEY_WORDS = 10
/** More than the largest number of an interface. */
const INTERFACES = 4
const NO_FLOW = -1 as NewFlow

const Stage = { free: 0, allocated: 1, initiated: 2, targeted: 3, active: 4 } as const

/** Options of a {@link FixedFlowTable}. */
export interface FlowTableOptions {
  /** Most flows, 1 to 2^22. */
  readonly capacity?: number
  /**
   * Flows that there is memory for from the start, 1 or more; the capacity, at most and if not given. For many small
   * tables: beginning a flow allocates when the number doubles.
   */
  readonly initialPlaces?: number
  /** Source of the hash key. */
  readonly random: Random
  readonly drops: Drops
}

/** Core's {@link FlowTable}. Calls at the wrong stage throw `FlowStageError`. */
export class FixedFlowTable implements FlowTable {
  readonly capacity: number
  listener: FlowTableListener | undefined = undefined
  #size = 0
  readonly #hash: KeyedHash
  readonly #full: DropReason
  readonly #forgotten: DropReason
  readonly #drops: Drops
  /** Number of flows that the arrays have places for. */
  #places: number
  #stage: Uint8Array
  #handler: Uint8Array
  #rule: Int32Array
  #keys: Int32Array
  /** Hash of a side that can be found. */
  #hashes: Int32Array
  /** 1 for a side that can be found. */
  #findable: Uint8Array
  /** Side plus one; 0 is empty. */
  #buckets: Int32Array
  #mask: number
  #free: Int32Array
  #freeCount = 0
  /** Number of places released in this turn: they are above the free ones in the same array. */
  #releasedCount = 0
  #neverUsed = 0
  /** Number of flows allocated, and neither active nor cancelled. */
  #unfinished = 0
  readonly #deadlines: Deadlines
  readonly #probe = new Int32Array(KEY_WORDS)
  /** By interface, the side that was found last: the next packets there often belong to it as well. */
  readonly #lastFound = new Int32Array(INTERFACES)

  constructor(options: FlowTableOptions) {
    const capacity = options.capacity ?? DEFAULT_FLOW_CAPACITY
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > 1 << 22) {
      throw new RangeError(`A flow table holds 1 to ${1 << 22} flows, not ${capacity}`)
    }
    const places = Math.min(capacity, options.initialPlaces ?? capacity)
    if (!Number.isInteger(places) || places < 1) {
      throw new RangeError(`A flow table begins with 1 place or more, not ${options.initialPlaces}`)
    }
    this.capacity = capacity
    this.#places = places
    this.#drops = options.drops
    this.#full = options.drops.reason("flow: table full")
    this.#forgotten = options.drops.reason("flow: allocated and not activated")
    this.#hash = new KeyedHash(options.random.int32(), options.random.int32())
    this.#stage = new Uint8Array(places)
    this.#handler = new Uint8Array(places)
    this.#rule = new Int32Array(places)
    this.#keys = new Int32Array(places * 2 * KEY_WORDS)
    this.#hashes = new Int32Array(places * 2)
    this.#findable = new Uint8Array(places * 2)
    this.#buckets = new Int32Array(bucketsFor(places))
    this.#mask = this.#buckets.length - 1
    this.#free = new Int32Array(places)
    this.#deadlines = new Deadlines(places)
  }

  get size(): number {
    return this.#size
  }

  room(share: PlaceShareId): number {
    return this.capacity - ((this.capacity * (PlaceShare.all - share)) >> 4) - this.#size
  }

  allocate(handler: number, protocol: number, share: PlaceShareId = PlaceShare.all): NewFlow {
    let flow: number
    if (this.room(share) <= 0) flow = NO_FLOW
    else if (this.#freeCount > 0) flow = this.#takeFree()
    else if (this.#neverUsed < this.#places || this.#grow()) flow = this.#neverUsed++
    else flow = NO_FLOW
    if (flow < 0) {
      this.#drops.count(this.#full)
      return NO_FLOW
    }
    this.#size++
    this.#unfinished++
    this.#stage[flow] = Stage.allocated
    this.#handler[flow] = handler
    const key = flow * 2 * KEY_WORDS
    this.#keys[key] = protocol
    this.#keys[key + KEY_WORDS] = protocol
    return flow as NewFlow
  }

  initiate(flow: NewFlow, demiflow: Demiflow): InitiatedFlow {
    this.#advance(flow, Stage.allocated, Stage.initiated)
    const initiated = flow as number as InitiatedFlow
    this.#writeSide(initiatingSide(initiated), demiflow)
    return initiated
  }

  target(flow: InitiatedFlow, demiflow: Demiflow, rule: RuleId = NO_RULE): TargetedFlow {
    this.#advance(flow, Stage.initiated, Stage.targeted)
    this.#rule[flow] = rule
    const targeted = flow as number as TargetedFlow
    this.#writeSide(targetSide(targeted), demiflow)
    return targeted
  }

  activate(flow: TargetedFlow): FlowIndex {
    this.#advance(flow, Stage.targeted, Stage.active)
    const active = flow as number as FlowIndex
    this.#unfinished--
    this.#insert(initiatingSide(active))
    this.listener?.opened(active)
    return active
  }

  makeTargetFindable(flow: FlowIndex): void {
    this.#expect(flow, Stage.active)
    const side = targetSide(flow)
    if (this.#findable[side] === 0) this.#insert(side)
  }

  cancel(flow: NewFlow | InitiatedFlow | TargetedFlow): void {
    const stage = this.#stage[flow]
    if (stage === Stage.free || stage === Stage.active) throw new FlowStageError(flow, stage)
    // Nothing can refer to this flow yet, so its place may be reused at once.
    this.#stage[flow] = Stage.free
    this.#size--
    this.#unfinished--
    this.#pushFree(flow)
  }

  release(flow: FlowIndex, end: FlowEndId = FlowEnd.done): void {
    this.#expect(flow, Stage.active)
    this.listener?.closed(flow, end)
    const initiating = initiatingSide(flow)
    const target = targetSide(flow)
    if (this.#findable[initiating] === 1) this.#remove(initiating)
    if (this.#findable[target] === 1) this.#remove(target)
    this.#deadlines.clear(flow)
    this.#stage[flow] = Stage.free
    this.#size--
    this.#free[this.#freeCount + this.#releasedCount++] = flow
  }

  endTurn(): void {
    if (this.#unfinished > 0) this.#cancelForgotten()
    this.#freeCount += this.#releasedCount
    this.#releasedCount = 0
  }

  lookup(protocol: number, demiflow: Demiflow): SideRef {
    const probe = this.#probe
    probe[0] = protocol
    writeKey(probe, 0, demiflow)
    const last = this.#lastFound[demiflow.interface]
    if (this.#findable[last] === 1 && this.#matches(last, probe)) return last as SideRef
    const hash = this.#hash.hash(probe, 0, KEY_WORDS)
    for (let bucket = hash & this.#mask; ; bucket = (bucket + 1) & this.#mask) {
      const side = this.#buckets[bucket] - 1
      if (side < 0) return NO_SIDE
      if (this.#hashes[side] !== hash || !this.#matches(side, probe)) continue
      this.#lastFound[demiflow.interface] = side
      return side as SideRef
    }
  }

  readSide(side: SideRef, into: Demiflow): void {
    const keys = this.#keys
    const key = side * KEY_WORDS
    into.interface = (keys[key] >>> 8) as InterfaceId
    const forwarding = into.forwardingAddress
    forwarding.word0 = keys[key + 1]
    forwarding.word1 = keys[key + 2]
    forwarding.word2 = keys[key + 3]
    forwarding.word3 = keys[key + 4]
    const correspondent = into.correspondentAddress
    correspondent.word0 = keys[key + 5]
    correspondent.word1 = keys[key + 6]
    correspondent.word2 = keys[key + 7]
    correspondent.word3 = keys[key + 8]
    into.forwardingPort = keys[key + 9] >>> 16
    into.correspondentPort = keys[key + 9] & 0xffff
  }

  interfaceOf(side: SideRef): InterfaceId {
    return (this.#keys[side * KEY_WORDS] >>> 8) as InterfaceId
  }

  protocolOf(flow: FlowIndex): number {
    return this.#keys[initiatingSide(flow) * KEY_WORDS] & 0xff
  }

  ruleOf(flow: FlowIndex): RuleId {
    return this.#rule[flow] as RuleId
  }

  handlerOf(flow: FlowIndex): number {
    return this.#stage[flow] === Stage.active ? this.#handler[flow] : -1
  }

  schedule(flow: FlowIndex, deadline: number): void {
    if (this.#stage[flow] === Stage.active) this.#deadlines.set(flow, deadline)
  }

  unschedule(flow: FlowIndex): void {
    this.#deadlines.clear(flow)
  }

  nextDeadline(): number {
    return this.#deadlines.earliest()
  }

  expire(now: number, visit: (flow: FlowIndex) => void): void {
    for (let visits = 0; visits < EXPIRY_BUDGET; visits++) {
      const flow = this.#deadlines.takeDue(now)
      if (flow < 0) return
      visit(flow as FlowIndex)
    }
  }

  forEach(visit: (flow: FlowIndex) => void): void {
    for (let flow = 0; flow < this.#neverUsed; flow++) {
      if (this.#stage[flow] === Stage.active) visit(flow as FlowIndex)
    }
  }

  /** Returns false, and changes nothing, if the table has its full size or if there is no memory. */
  #grow(): boolean {
    const places = Math.min(this.capacity, this.#places * 2)
    if (places === this.#places) return false
    try {
      const stage = copied(this.#stage, new Uint8Array(places))
      const handler = copied(this.#handler, new Uint8Array(places))
      const rule = copied(this.#rule, new Int32Array(places))
      const keys = copied(this.#keys, new Int32Array(places * 2 * KEY_WORDS))
      const hashes = copied(this.#hashes, new Int32Array(places * 2))
      const findable = copied(this.#findable, new Uint8Array(places * 2))
      const free = copied(this.#free, new Int32Array(places))
      const buckets = new Int32Array(bucketsFor(places))
      this.#deadlines.grow(places)
      // Nothing is allocated from here on.
      this.#stage = stage
      this.#handler = handler
      this.#rule = rule
      this.#keys = keys
      this.#hashes = hashes
      this.#findable = findable
      this.#free = free
      this.#buckets = buckets
    } catch (error) {
      if (error instanceof RangeError) return false
      throw error
    }
    this.#places = places
    this.#mask = this.#buckets.length - 1
    for (let side = 0; side < this.#neverUsed * 2; side++) if (this.#findable[side] === 1) this.#fillBucket(side)
    return true
  }

  /** Cancels flows that a handler left unfinished when it failed. */
  #cancelForgotten(): void {
    for (let flow = 0; this.#unfinished > 0; flow++) {
      const stage = this.#stage[flow]
      if (stage === Stage.free || stage === Stage.active) continue
      this.#drops.count(this.#forgotten)
      this.cancel(flow as NewFlow)
    }
  }

  #expect(flow: number, stage: number): void {
    if (this.#stage[flow] !== stage) throw new FlowStageError(flow, this.#stage[flow])
  }

  #advance(flow: number, from: number, to: number): void {
    this.#expect(flow, from)
    this.#stage[flow] = to
  }

  #takeFree(): number {
    const flow = this.#free[--this.#freeCount]
    // Fill the gap with a place released in this turn, to keep those above the free ones.
    if (this.#releasedCount > 0) this.#free[this.#freeCount] = this.#free[this.#freeCount + this.#releasedCount]
    return flow
  }

  #pushFree(flow: number): void {
    if (this.#releasedCount > 0) this.#free[this.#freeCount + this.#releasedCount] = this.#free[this.#freeCount]
    this.#free[this.#freeCount++] = flow
  }

  #writeSide(side: SideRef, demiflow: Demiflow): void {
    writeKey(this.#keys, side * KEY_WORDS, demiflow)
  }

  #matches(side: number, probe: Int32Array): boolean {
    const key = side * KEY_WORDS
    for (let word = KEY_WORDS - 1; word >= 0; word--) if (this.#keys[key + word] !== probe[word]) return false
    return true
  }

  #insert(side: SideRef): void {
    const hash = this.#hash.hash(this.#keys, side * KEY_WORDS, KEY_WORDS)
    this.#hashes[side] = hash
    this.#findable[side] = 1
    this.#fillBucket(side)
  }

  #fillBucket(side: number): void {
    let bucket = this.#hashes[side] & this.#mask
    while (this.#buckets[bucket] !== 0) bucket = (bucket + 1) & this.#mask
    this.#buckets[bucket] = side + 1
  }

  #remove(side: SideRef): void {
    let hole = this.#hashes[side] & this.#mask
    while (this.#buckets[hole] !== side + 1) hole = (hole + 1) & this.#mask
    this.#findable[side] = 0
    for (let bucket = (hole + 1) & this.#mask; ; bucket = (bucket + 1) & this.#mask) {
      const other = this.#buckets[bucket]
      if (other === 0) break
      // An entry may move back to the hole unless its own bucket lies behind the hole.
      const home = this.#hashes[other - 1] & this.#mask
      if (((bucket - home) & this.#mask) < ((bucket - hole) & this.#mask)) continue
      this.#buckets[hole] = other
      hole = bucket
    }
    this.#buckets[hole] = 0
  }
}

/** At least twice the number of sides. */
function bucketsFor(places: number): number {
  return 2 ** Math.ceil(Math.log2(places * 4))
}

function copied<Numbers extends Uint8Array | Int32Array>(from: Numbers, to: Numbers): Numbers {
  to.set(from)
  return to
}

function writeKey(words: Int32Array, start: number, demiflow: Demiflow): void {
  words[start] = (words[start] & 0xff) | (demiflow.interface << 8)
  const forwarding = demiflow.forwardingAddress
  words[start + 1] = forwarding.word0
  words[start + 2] = forwarding.word1
  words[start + 3] = forwarding.word2
  words[start + 4] = forwarding.word3
  const correspondent = demiflow.correspondentAddress
  words[start + 5] = correspondent.word0
  words[start + 6] = correspondent.word1
  words[start + 7] = correspondent.word2
  words[start + 8] = correspondent.word3
  words[start + 9] = (demiflow.forwardingPort << 16) | demiflow.correspondentPort
}

/** A flow was used at a stage that doesn't allow it: an error in the caller. */
export class FlowStageError extends Error {
  readonly code = "ERR_FLOW_STAGE"

  constructor(flow: number, stage: number) {
    super(`Flow ${flow} is at stage ${stage}, which doesn't allow that`)
    this.name = "FlowStageError"
  }
}
