import { type FlowIndex, initiatingSide, NO_SIDE, targetSide } from "@demiflow/core"
import { expect, test } from "vitest"
import { FlowStates } from "./flow-states.ts"

const [zero, seven, nine] = [0, 7, 9] as FlowIndex[]

test("a state is found by its flow and by both of its sides, until it is removed", () => {
  const states = new FlowStates<{ name: string }>()
  const state = { name: "seven" }
  states.add(seven, state)
  expect([states.get(seven), states.of(initiatingSide(seven)), states.of(targetSide(seven))]).toEqual(
    Array.from({ length: 3 }, () => state),
  )
  expect([states.get(zero), states.get(nine), states.of(NO_SIDE)]).toEqual([undefined, undefined, undefined])
  states.remove(seven)
  states.remove(nine)
  expect(states.get(seven)).toBeUndefined()
})

test("states are visited in the order of their flows", () => {
  const states = new FlowStates<{ name: number }>()
  for (const flow of [nine, zero, seven]) states.add(flow, { name: flow })
  states.remove(seven)
  expect([...states]).toEqual([{ name: 0 }, { name: 9 }])
})

test("a state that was kept is used again, once", () => {
  const states = new FlowStates<object>()
  const state = {}
  states.add(zero, state)
  states.remove(zero)
  expect(states.spare()).toBeUndefined()
  states.keep(state)
  expect([states.spare(), states.spare()]).toEqual([state, undefined])
  expect(states.get(zero)).toBeUndefined()
})
