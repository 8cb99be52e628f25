import { Errno, ErrorOrigin, IcmpType, Icmpv6Type } from "@demiflow/core"
import { expect, test } from "vitest"
import { icmpForm, isRelayed, NO_FORM, tooBigForm } from "./icmp-form.ts"

const typeAndCode = (form: number) => [form >> 8, form & 0xff]

test.each([
  ["connection refused: port unreachable", Errno.ECONNREFUSED, [3, 3], [1, 4]],
  ["no route to host: host or address unreachable", Errno.EHOSTUNREACH, [3, 1], [1, 3]],
  ["host is down: host or address unreachable", Errno.EHOSTDOWN, [3, 1], [1, 3]],
  ["network unreachable: net unreachable or no route", Errno.ENETUNREACH, [3, 0], [1, 0]],
  ["network is down: net unreachable or no route", Errno.ENETDOWN, [3, 0], [1, 0]],
  ["no such address on this host: administratively prohibited", Errno.EADDRNOTAVAIL, [3, 13], [1, 1]],
  ["no such interface: administratively prohibited", Errno.ENODEV, [3, 13], [1, 1]],
  ["not permitted: administratively prohibited", Errno.EPERM, [3, 13], [1, 1]],
])("%s", (_, errno, v4, v6) => {
  expect(typeAndCode(icmpForm(errno, true))).toEqual(v4)
  expect(typeAndCode(icmpForm(errno, false))).toEqual(v6)
})

test("access denied has a form over IPv6 only: over IPv4 it may be about a broadcast address", () => {
  expect(icmpForm(Errno.EACCES, true)).toBe(NO_FORM)
  expect(typeAndCode(icmpForm(Errno.EACCES, false))).toEqual([1, 1])
})

test("errors that say nothing about the way have no form", () => {
  for (const errno of [Errno.EAGAIN, Errno.EINVAL, Errno.ENOBUFS, Errno.EMSGSIZE]) {
    expect(icmpForm(errno, true)).toBe(NO_FORM)
    expect(icmpForm(errno, false)).toBe(NO_FORM)
  }
})

test("too big is fragmentation needed over IPv4, a type of its own over IPv6", () => {
  expect(typeAndCode(tooBigForm(true))).toEqual([3, 4])
  expect(typeAndCode(tooBigForm(false))).toEqual([2, 0])
})

test("errors that were reported go on as they are within one version of IP", () => {
  const { icmp, icmpv6, host } = ErrorOrigin
  for (const type of [IcmpType.destinationUnreachable, IcmpType.timeExceeded, IcmpType.parameterProblem]) {
    expect(isRelayed(icmp, type, true)).toBe(true)
    expect(isRelayed(icmp, type, false)).toBe(false)
    expect(isRelayed(host, type, true)).toBe(false)
  }
  for (const type of [1, 2, 3, 4]) {
    expect(isRelayed(icmpv6, type, false)).toBe(true)
    expect(isRelayed(icmpv6, type, true)).toBe(false)
  }
  expect(isRelayed(icmp, IcmpType.echoReply, true)).toBe(false)
  expect(isRelayed(icmpv6, Icmpv6Type.echoRequest, false)).toBe(false)
})
