import { Address } from "@demiflow/core"
import { expect, test } from "vitest"
import { CROWDS, Crowds, crowdOf } from "./crowds.ts"

function fill(crowds: Crowds, crowd: number): number {
  let count = 0
  for (; !crowds.isFull(crowd); count++) crowds.add(crowd)
  return count
}

test("one crowd has half of the places, and each that comes later half of what is left", () => {
  const crowds = new Crowds(64)
  expect([fill(crowds, 1), fill(crowds, 2), fill(crowds, 3)]).toEqual([32, 16, 8])
  expect(crowds.count).toBe(56)
})

test("a place that is given up is anybody's", () => {
  const crowds = new Crowds(64)
  fill(crowds, 1)
  fill(crowds, 2)
  for (let count = 0; count < 16; count++) crowds.remove(1)
  expect(fill(crowds, 2)).toBe(8)
})

test("addresses one beside the other are in different crowds, mostly", () => {
  const crowdsOf = (prefix: string) =>
    new Set(Array.from({ length: 200 }, (_, host) => crowdOf(Address.parse(`${prefix}${host + 1}`))))
  for (const prefix of ["198.51.100.", "2001:db8::", "2001:db8:1:2:3:4:5:"]) {
    const crowds = crowdsOf(prefix)
    expect(crowds.size).toBeGreaterThan(150)
    expect(Math.max(...crowds)).toBeLessThan(CROWDS)
    expect(Math.min(...crowds)).toBeGreaterThanOrEqual(0)
  }
})
