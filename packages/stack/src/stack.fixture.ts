/** A stack on parts that only log, and handlers that do. */
import {
  Arena,
  type Claim,
  type Components,
  type Disposition,
  Drops,
  type FlowIndex,
  type FlowTable,
  HANDLED,
  type ProtocolHandler,
  SequenceBuffer,
  silentLog,
} from "@demiflow/core"
import { Stack } from "./stack.ts"
import type { StackParts } from "./stack-parts.ts"

export const flow = (index: number): FlowIndex => index as FlowIndex

/** What a case gets from `setUp()`. */
interface Setup {
  stack: Stack
  parts: StackParts
  drops: Drops
  events: string[]
  makeDue(...indices: number[]): void
  setDeadline(value: number): void
}

/** A stack whose flows 0 and 1 belong to handlers 0 and 1, with a log of what happens to it. */
export function setUp(): Setup {
  const events: string[] = []
  const drops = new Drops()
  let due: FlowIndex[] = []
  let deadline = Number.POSITIVE_INFINITY
  const flows = {
    handlerOf: (index: number) => (index === 0 || index === 1 ? index : -1),
    nextDeadline: () => deadline,
    expire: (_now: number, visit: (index: FlowIndex) => void) => due.splice(0).forEach(visit),
    forEach: (visit: (index: FlowIndex) => void) => [flow(0), flow(1)].forEach(visit),
    release: () => {},
    endTurn: () => events.push("flows end turn"),
  } as unknown as FlowTable
  const parts = {
    arena: new Arena(64),
    drops,
    flows,
    guest: { flush: () => events.push("flush") },
    clock: { now: 0 },
    forwarding: {},
    log: silentLog,
  } as unknown as StackParts
  return {
    stack: new Stack(parts),
    parts,
    drops,
    events,
    makeDue: (...indices: number[]) => {
      due = indices.map(flow)
    },
    setDeadline: (value: number) => {
      deadline = value
    },
  }
}

/** A handler that logs its calls. */
export function recorder(
  events: string[],
  name: string,
  claims: Claim[],
  answer: Disposition = HANDLED,
): (components: Components) => ProtocolHandler {
  return () => ({
    name,
    claims,
    fromGuest: (sequence) => {
      events.push(`${name} got ${sequence.count}`)
      return answer
    },
    fromHost: (side, bits) => events.push(`${name} side ${side} event ${bits}`),
    expire: (index, now) => events.push(`${name} flow ${index} due at ${now}`),
    tick: (now) => events.push(`${name} tick at ${now}`),
    endTurn: () => events.push(`${name} end turn`),
    start: () => events.push(`${name} start`),
    stop: () => events.push(`${name} stop`),
    abort: (index) => events.push(`${name} abort ${index}`),
  })
}

export function packets(protocol: number, forwardingPort = 0, count = 1): SequenceBuffer {
  const sequence = new SequenceBuffer(4)
  sequence.protocol = protocol
  sequence.etherType = 0x0800
  sequence.demiflow.forwardingPort = forwardingPort
  sequence.count = count
  return sequence
}
