/** Filters of system calls: compiles our rules into the instructions that seccomp(2) takes. */
import { Errno } from "@demiflow/core"
import type { Native } from "../native.ts"

/** The kernel compares the lower 32 bits of an argument. */
export interface ArgumentCondition {
  /** The argument's index, from 0 to 5. */
  readonly argument: number
  /** Applied before the argument is compared. */
  readonly mask?: number
  /** The condition holds if the argument is one of these. */
  readonly oneOf: readonly number[]
}

/** A system call, and what happens to it. */
export interface CallRule {
  /** Its name in section 2 of the manual. */
  readonly call: string
  /** The rule applies if all conditions of one of these alternatives hold; if absent, always. */
  readonly when?: readonly (readonly ArgumentCondition[])[]
  /** The errno with which a matching call is refused, silently; if absent, the call passes. */
  readonly refuse?: number
}

/** What happens to a call that no rule lets pass. */
export type Refusal =
  /** The call returns this errno. */
  | { readonly kind: "error"; readonly errno: number }
  /** The thread gets SIGSYS: see `catchRefusals`. */
  | { readonly kind: "signal" }
  | { readonly kind: "pass" }

const BYTES_PER_INSTRUCTION = 8

/** <linux/filter.h> */
const Operation = { load: 0x20, and: 0x54, jumpIfEqual: 0x15, jumpIfAtLeast: 0x35, jump: 0x05, answer: 0x06 } as const
/** SECCOMP_RET_… of <linux/seccomp.h> */
const Answer = { pass: 0x7fff0000, error: 0x00050000, signal: 0x00030000 } as const
/** struct seccomp_data of <linux/seccomp.h>. */
const Place = { number: 0, architecture: 4, arguments: 16 } as const
/** On x86-64, numbers from here on are calls of the x32 variant. AUDIT_ARCH_X86_64 is a signed number here. */
const X86_64 = 0xc000003e | 0
const X32_CALLS = 0x40000000

interface Instruction {
  readonly operation: number
  readonly value: number
  /** Labels of the jump targets. */
  readonly ifTrue?: string
  readonly ifFalse?: string
}

/**
 * Compiles a list of rules, of which the first that applies decides. Returns undefined on an architecture without
 * filters. Calls that this architecture lacks are left out. Rules for the most frequent calls should come first. Throws
 * `TypeError` for a name that no architecture has.
 */
export function encodeFilter(native: Native, rules: readonly CallRule[], otherwise: Refusal): Uint8Array | undefined {
  const architecture = native.architecture()
  if (architecture === 0) return undefined
  const assembler = new Assembler()
  assembler.load(Place.architecture)
  assembler.jumpIfEqual(architecture, "known")
  assembler.answer(otherwise)
  assembler.label("known")
  assembler.load(Place.number)
  if (architecture === X86_64) {
    assembler.branch(Operation.jumpIfAtLeast, X32_CALLS, "x32", "native")
    assembler.label("x32")
    assembler.answer(otherwise)
    assembler.label("native")
  }
  for (const rule of rules) {
    const number = native.callNumber(rule.call)
    if (number === -Errno.EINVAL)
      throw new TypeError(`There is no system call ${rule.call} in the table of native/calls.c`)
    if (number >= 0) addRule(assembler, rule, number)
  }
  assembler.answer(otherwise)
  return assembler.finish()
}

function addRule(assembler: Assembler, rule: CallRule, number: number): void {
  const mine = assembler.newLabel()
  const next = assembler.newLabel()
  assembler.branch(Operation.jumpIfEqual, number, mine, next)
  assembler.label(mine)
  const answer: Refusal = rule.refuse === undefined ? { kind: "pass" } : { kind: "error", errno: rule.refuse }
  if (rule.when === undefined) assembler.answer(answer)
  else {
    for (const conditions of rule.when) {
      const alternative = assembler.newLabel()
      for (const { argument, mask, oneOf } of conditions) {
        assembler.load(Place.arguments + argument * 8)
        if (mask !== undefined) assembler.and(mask)
        const holds = assembler.newLabel()
        for (const value of oneOf) assembler.jumpIfEqual(value, holds)
        assembler.jump(alternative)
        assembler.label(holds)
      }
      assembler.answer(answer)
      assembler.label(alternative)
    }
    // Reloads the call's number for the rules that follow.
    assembler.load(Place.number)
  }
  assembler.label(next)
}

class Assembler {
  readonly #instructions: Instruction[] = []
  readonly #labels = new Map<string, number>()
  #labelCount = 0

  newLabel(): string {
    return String(this.#labelCount++)
  }

  /** Binds a label to the next instruction. */
  label(name: string): void {
    this.#labels.set(name, this.#instructions.length)
  }

  load(offset: number): void {
    this.#add({ operation: Operation.load, value: offset })
  }

  and(mask: number): void {
    this.#add({ operation: Operation.and, value: mask })
  }

  jump(label: string): void {
    this.#add({ operation: Operation.jump, value: 0, ifTrue: label })
  }

  jumpIfEqual(value: number, label: string): void {
    this.#add({ operation: Operation.jumpIfEqual, value, ifTrue: label })
  }

  branch(operation: number, value: number, ifTrue: string, ifFalse: string): void {
    this.#add({ operation, value, ifTrue, ifFalse })
  }

  answer(refusal: Refusal): void {
    this.#add({ operation: Operation.answer, value: answerOf(refusal) })
  }

  /** Throws `RangeError` for a jump over more than 255 instructions, which the format can't express. */
  finish(): Uint8Array {
    const bytes = new Uint8Array(this.#instructions.length * BYTES_PER_INSTRUCTION)
    const view = new DataView(bytes.buffer)
    const isLittleEndian = true
    for (const [index, { operation, value, ifTrue, ifFalse }] of this.#instructions.entries()) {
      const at = index * BYTES_PER_INSTRUCTION
      view.setUint16(at, operation, isLittleEndian)
      if (operation === Operation.jump) {
        view.setUint32(at + 4, this.#distance(index, ifTrue), isLittleEndian)
        continue
      }
      view.setUint8(at + 2, this.#shortDistance(index, ifTrue))
      view.setUint8(at + 3, this.#shortDistance(index, ifFalse))
      view.setUint32(at + 4, value, isLittleEndian)
    }
    return bytes
  }

  #add(instruction: Instruction): void {
    this.#instructions.push(instruction)
  }

  #shortDistance(index: number, label: string | undefined): number {
    const distance = this.#distance(index, label)
    if (distance > 255) throw new RangeError(`A jump over ${distance} instructions: split the rule`)
    return distance
  }

  #distance(index: number, label: string | undefined): number {
    return label === undefined ? 0 : (this.#labels.get(label) ?? index + 1) - index - 1
  }
}

function answerOf(refusal: Refusal): number {
  switch (refusal.kind) {
    case "pass":
      return Answer.pass
    case "signal":
      return Answer.signal
    case "error":
      return Answer.error | refusal.errno
  }
}
