/** Plug-ins that throw, or forget what they began: only their own flows are affected. */
import {
  CHECKSUM_DONE,
  type Components,
  Errno,
  type FlowIndex,
  flowOf,
  HANDLED,
  Interface,
  initiatingSide,
  type ProtocolHandler,
  type ProtocolPlugin,
  Ruling,
  type SideRef,
  SocketEvent,
  targetSide,
  Verdict,
} from "@demiflow/core"
import { expect, test } from "vitest"
import { type MemoryStack, memoryStack } from "./memory-stack.ts"
import * as build from "./packets/build.ts"
import * as check from "./packets/check.ts"
import { payload } from "./packets/layer.ts"
import { RecordingLog } from "./recording-log.ts"
import { ScriptedPolicy } from "./scripted-policy.ts"
import { mirror } from "./test-support/mirror.ts"

const BAD = 254
const toBad = [build.ip("192.0.2.2", "198.51.100.7", 64, BAD), payload("bad")] as const
const toMirror = [build.ip("192.0.2.2", "198.51.100.7", 64, 253), payload("hello")] as const

function fail(): never {
  throw new Error("a mistake")
}

/** A plug-in that opens a flow with a socket for each packet, and does what the test says. */
function bad(change: (handler: ProtocolHandler, components: Components, side: SideRef) => void): ProtocolPlugin {
  return (components) => {
    const { flows, verdicts, sockets, handlerNumber } = components
    const ruling = new Ruling()
    const handler: ProtocolHandler = {
      name: "bad",
      claims: [{ ipProtocol: BAD }],
      fromGuest(sequence) {
        const { demiflow } = sequence
        const { target } = ruling
        verdicts.fromGuest(BAD, demiflow, ruling, sequence, 0)
        const initiated = flows.initiate(flows.allocate(handlerNumber, BAD), demiflow)
        const flow = flows.activate(flows.target(initiated, target))
        const socket = sockets.udpOpen(targetSide(flow), target)
        handler.abort = (ended) => {
          sockets.close(socket)
          flows.release(ended)
        }
        change(handler, components, initiatingSide(flow))
        return HANDLED
      },
    }
    return handler
  }
}

function stackWith(plugin: ProtocolPlugin): { readonly stack: MemoryStack; readonly log: RecordingLog } {
  const log = new RecordingLog("info")
  return { log, stack: memoryStack([plugin, mirror], { log, failures: "log" }) }
}

function flowsOf({ flows }: MemoryStack): FlowIndex[] {
  const found: FlowIndex[] = []
  flows.forEach((flow) => {
    found.push(flow)
  })
  return found
}

/** Asserts that the other protocol continues, and that nothing of the failing one is left. */
function expectUnharmed({ guest, leftovers }: MemoryStack): void {
  guest.send(...toMirror)
  guest.expect(check.payload("hello"))
  expect(leftovers()).toEqual([])
}

const FAILED = "stack: handler failed (bad)"

test("a handler that throws for a packet loses the packet and its flow", () => {
  const { stack, log } = stackWith(bad(fail))
  stack.guest.send(...toBad)
  stack.run()
  expect([stack.drops.get(FAILED), stack.flows.size, stack.sockets.openSockets]).toEqual([1, 0, 0])
  expect(log.messages("error")).toEqual([expect.stringMatching(/^The protocol "bad" failed: Error: a mistake\n/)])
  expectUnharmed(stack)
})

test("a handler that throws for an event or a deadline of a flow loses that flow", () => {
  for (const where of ["fromHost", "expire"] as const) {
    const { stack } = stackWith(
      bad((handler, { flows, clock }, side) => {
        handler[where] = fail
        flows.schedule(flowOf(side), clock.now + 5)
      }),
    )
    stack.guest.send(...toBad)
    stack.run()
    const [flow] = flowsOf(stack)
    if (where === "fromHost") stack.stack.fromHost(targetSide(flow), SocketEvent.readable)
    stack.run(10)
    expect([where, stack.drops.get(FAILED)]).toEqual([where, 1])
    expectUnharmed(stack)
  }
})

test("a flow whose handler fails to end it loses its place all the same, at the first attempt", () => {
  let attempts = 0
  const abort = () => {
    attempts++
    fail()
  }
  const { stack } = stackWith(bad((handler) => Object.assign(handler, { abort })))
  stack.guest.send(...toBad)
  stack.run()
  stack.stack.abortFlows()
  expect([stack.drops.get(FAILED), stack.flows.size, attempts]).toEqual([1, 0, 1])
})

test("a handler that throws before it asks for its next deadline is woken again", () => {
  const times: number[] = []
  const { stack } = stackWith(({ wakeAt, clock }) => ({
    name: "bad",
    claims: [],
    fromGuest: () => HANDLED,
    start: () => wakeAt(clock.now),
    tick(now) {
      times.push(now)
      if (times.length === 1) fail()
    },
  }))
  stack.run(1_000)
  expect(times.map((time) => time - times[0])).toEqual([0, 100])
})

test("a handler that always throws at the end of a turn, or for its deadline, is logged once a second", () => {
  const { stack, log } = stackWith(({ wakeAt, clock }) => ({
    name: "bad",
    claims: [],
    fromGuest: () => HANDLED,
    start: () => wakeAt(clock.now),
    tick(now) {
      wakeAt(now + 100)
      fail()
    },
    endTurn: fail,
  }))
  stack.run(2_950)
  expect(stack.drops.get(FAILED)).toBeGreaterThan(30)
  expect(log.messages("error")).toHaveLength(3)
})

test("a handler that fails to listen or to answer a question counts as one that can't, and its caller goes on", () => {
  let relieve = (): boolean => true
  const { stack } = stackWith((components) => {
    relieve = () => components.relieve()
    return {
      name: "bad",
      claims: [{ ipProtocol: BAD }],
      fromGuest: () => HANDLED,
      listen: fail,
      giveWay: fail,
      portsInUse: fail,
    }
  })
  const end = { address: undefined, port: 80, interfaceName: undefined, freebind: false }
  expect(stack.stack.listen(BAD, end, undefined, 80)).toBe(-Errno.EIO)
  expect(stack.stack.portsInUse(BAD, Interface.host)).toEqual([])
  expect([relieve(), stack.drops.get(FAILED)]).toEqual([false, 3])
  expectUnharmed(stack)
})

test("a flow that is allocated and not activated loses its place at the end of the turn", () => {
  const { stack } = stackWith(({ flows, handlerNumber }) => ({
    name: "bad",
    claims: [{ ipProtocol: BAD }],
    fromGuest() {
      flows.allocate(handlerNumber, BAD)
      return HANDLED
    },
  }))
  for (let count = 0; count < 3; count++) {
    stack.guest.send(...toBad)
    stack.run()
  }
  expect(stack.drops.get("flow: allocated and not activated")).toBe(3)
  expectUnharmed(stack)
})

test("packets that are begun and not ended are counted under their handler's name, and take no room from others", () => {
  const { stack } = stackWith(({ guest }) => ({
    name: "bad",
    claims: [{ ipProtocol: BAD }],
    fromGuest({ demiflow, targetMac }) {
      guest.begin(demiflow, BAD, 100_000)
      guest.beginFrame(targetMac, 0x88b5, 10)
      return HANDLED
    },
  }))
  for (let count = 0; count < 100; count++) {
    stack.guest.send(...toBad)
    stack.run()
  }
  expect(stack.drops.get("tap: begun and not ended (bad)")).toBe(200)
  expectUnharmed(stack)
})

test("a packet may be ended at the end of the turn, whatever others flush before", () => {
  let open = -1
  const patient: ProtocolPlugin = ({ guest }) => ({
    name: "patient",
    claims: [{ ipProtocol: BAD }],
    fromGuest(sequence) {
      const { demiflow } = sequence
      open = guest.begin(demiflow, BAD, 8)
      guest.flush()
      return HANDLED
    },
    endTurn() {
      if (open >= 0) guest.end(open, 8, CHECKSUM_DONE)
      open = -1
    },
  })
  const { stack } = stackWith(patient)
  stack.guest.send(...toBad)
  stack.run()
  stack.guest.expect(check.ip({ protocol: BAD }))
  expect(stack.drops.entries()).toEqual([])
})

test("an error that a handler throws ends a test that doesn't ask for it to be logged", () => {
  const stack = memoryStack([bad(fail)])
  stack.guest.send(...toBad)
  expect(() => stack.run()).toThrow("a mistake")
})

test("a policy that throws is counted for each flow, logged once a second, and costs the other plug-ins nothing", () => {
  const log = new RecordingLog("info")
  const policy = new ScriptedPolicy("throw")
  const plugin: ProtocolPlugin = ({ verdicts }) => {
    const ruling = new Ruling()
    return {
      name: "asking",
      claims: [{ ipProtocol: BAD }],
      fromGuest: (sequence) =>
        verdicts.fromGuest(BAD, sequence.demiflow, ruling, sequence, 0) === Verdict.drop ? ruling.reason : HANDLED,
    }
  }
  const stack = memoryStack([plugin, mirror], { log, failures: "log", policy: policy.around })
  for (let count = 0; count < 3; count++) {
    stack.guest.send(...toBad)
    stack.run(500)
  }
  expect([stack.drops.get("stack: policy failed"), policy.asked]).toEqual([3, 3])
  const message = expect.stringMatching(/^The forwarding policy failed: Error: a policy's mistake\n/)
  expect(log.messages("error")).toEqual([message, message])
  expectUnharmed(stack)
})
