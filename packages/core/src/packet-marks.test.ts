import { describe, expect, test } from "vitest"
import {
  hopLimitIn,
  markSocket,
  marksOf,
  NO_MARKS,
  streamMarksOf,
  tracesRoute,
  trafficClassIn,
} from "./packet-marks.ts"
import { SequenceBuffer } from "./sequence.ts"
import type { Socket } from "./socket.ts"
import type { Sockets } from "./sockets.ts"

const SOCKET = 3 as Socket

/** A sequence with one packet. */
function packet(hopLimit: number, trafficClass: number, dontFragment: boolean, length = 1_500): SequenceBuffer {
  const sequence = new SequenceBuffer(1)
  sequence.count = 1
  sequence.hopLimit[0] = hopLimit
  sequence.trafficClass[0] = trafficClass
  sequence.dontFragment[0] = dontFragment ? 1 : 0
  sequence.networkOffset[0] = 100
  sequence.endOffset[0] = 100 + length
  return sequence
}

/** Calls to the host when a socket's marks change. */
function calls(before: number, marks: number): unknown[] {
  const made: unknown[] = []
  const host = {
    setHopLimit: (...words: unknown[]) => made.push(["hop limit", ...words]),
    setTrafficClass: (...words: unknown[]) => made.push(["class", ...words]),
    setFragmentation: (...words: unknown[]) => made.push(["fragmentation", ...words]),
  }
  markSocket(host as unknown as Sockets, SOCKET, true, before, marks)
  return made
}

describe("marks", () => {
  test("hold what they are made of", () => {
    for (const [hopLimit, trafficClass] of [
      [1, 0],
      [64, 0xb8],
      [255, 0xff],
    ]) {
      const marks = marksOf(packet(hopLimit, trafficClass, true), 0, NO_MARKS, 1_536)
      expect([hopLimitIn(marks), trafficClassIn(marks)]).toEqual([hopLimit, trafficClass])
    }
  })

  test("of a stream are without ECN, and say nothing of fragments", () => {
    const marks = streamMarksOf(packet(9, 0xbb, true), 0)
    expect(marks).toBe(streamMarksOf(packet(9, 0xb8, false), 0))
    expect(calls(NO_MARKS, marks)).toEqual([
      ["hop limit", SOCKET, true, 9],
      ["class", SOCKET, true, 0xb8],
    ])
  })

  test("let what is larger than any path be fragmented, but not what is left together of smaller datagrams", () => {
    const large = packet(64, 0, true, 1_537)
    expect(calls(NO_MARKS, marksOf(large, 0, NO_MARKS, 1_536))).toContainEqual(["fragmentation", SOCKET, true, true])
    large.transportOffset[0] = large.networkOffset[0] + 20
    large.segmentSize[0] = 1_000
    expect(calls(NO_MARKS, marksOf(large, 0, NO_MARKS, 1_536))).toContainEqual(["fragmentation", SOCKET, true, false])
  })

  test("keep a datagram whole that traces a route, however large (tracepath, traceroute --mtu)", () => {
    for (const [hopLimit, mayFragment] of [
      [1, false],
      [32, false],
      [33, true],
      [64, true],
    ] as const) {
      const marks = marksOf(packet(hopLimit, 0, true, 65_520), 0, NO_MARKS, 1_536)
      expect(calls(NO_MARKS, marks)).toContainEqual(["fragmentation", SOCKET, true, mayFragment])
      expect(tracesRoute(marks)).toBe(!mayFragment)
    }
  })

  test("set only what is different", () => {
    const first = marksOf(packet(64, 0, true), 0, NO_MARKS, 1_536)
    expect(calls(NO_MARKS, first)).toEqual([
      ["hop limit", SOCKET, true, 64],
      ["fragmentation", SOCKET, true, false],
    ])
    expect(calls(first, first)).toEqual([])
    expect(calls(first, marksOf(packet(64, 2, true), 0, first, 1_536))).toEqual([["class", SOCKET, true, 2]])
    expect(calls(first, marksOf(packet(64, 0, false), 0, first, 1_536))).toEqual([
      ["fragmentation", SOCKET, true, true],
    ])
  })

  test("leave fragmentation as it is for what no host fragments, unless the socket says that it may be", () => {
    const small = packet(64, 0, true, 552)
    const quiet = marksOf(small, 0, NO_MARKS, 1_536)
    expect(calls(NO_MARKS, quiet)).toEqual([["hop limit", SOCKET, true, 64]])
    expect(marksOf(small, 0, quiet, 1_536)).toBe(quiet)
    const whole = marksOf(packet(64, 0, true, 553), 0, quiet, 1_536)
    expect(calls(quiet, whole)).toEqual([["fragmentation", SOCKET, true, false]])
    expect(marksOf(small, 0, whole, 1_536)).toBe(whole)
    const cut = marksOf(packet(64, 0, false, 20), 0, whole, 1_536)
    expect(calls(cut, marksOf(small, 0, cut, 1_536))).toEqual([["fragmentation", SOCKET, true, false]])
  })
})
