import { Address } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type ForwardedPorts, formatRange, type PortRange, parsePortSpecification } from "./port-specification.ts"

function parsed(text: string): ForwardedPorts {
  const specification = parsePortSpecification(text)
  if (specification.kind !== "ports") throw new Error(JSON.stringify(specification))
  return specification
}

/**
 * A notation that differs from the grammar: `listening end | ranges | all | exclusions | auto`, without empty parts.
 */
function described(text: string): string {
  const { address, interfaceName, ranges, all, exclusions, isAuto } = parsed(text)
  const to = (target: Address | undefined) => (target === undefined ? "" : ` at ${target}`)
  const parts = [
    address && `on ${address}`,
    interfaceName && `dev ${interfaceName}`,
    ...ranges.map((range) => `${formatRange(range)} to ${range.firstTarget}${to(range.targetAddress)}`),
    all && `all${to(all.targetAddress)}`,
    ...exclusions.map((range) => `not ${formatRange(range)}`),
    isAuto && "auto",
  ]
  return parts.filter(Boolean).join(", ")
}

describe("the examples of the manual", () => {
  test.each([
    ["all", "all"],
    ["::1/all", "on ::1, all"],
    ["22", "22 to 22"],
    ["22:23", "22 to 23"],
    ["22,25", "22 to 22, 25 to 25"],
    ["22-80", "22-80 to 22"],
    ["22-80:32-90", "22-80 to 32"],
    ["192.0.2.1/22", "on 192.0.2.1, 22 to 22"],
    ["192.0.2.1%eth0/22", "on 192.0.2.1, dev eth0, 22 to 22"],
    ["%eth0/22", "dev eth0, 22 to 22"],
    ["*%eth0/22", "dev eth0, 22 to 22"],
    ["*/22", "22 to 22"],
    ["0.0.0.0/5000:192.0.2.5/6000", "on 0.0.0.0, 5000 to 6000 at 192.0.2.5"],
    ["127.0.0.6/all:192.0.2.6", "on 127.0.0.6, all at 192.0.2.6"],
    ["2000-5000,~3000-3010", "2000-5000 to 2000, not 3000-3010"],
    ["192.0.2.1/20-30,~25", "on 192.0.2.1, 20-30 to 20, not 25"],
    ["~20000-20010", "all, not 20000-20010"],
    ["auto", "all, auto"],
    ["::1/auto", "on ::1, all, auto"],
    ["8000-8010,auto", "8000-8010 to 8000, auto"],
  ])("%s", (text, expected) => {
    expect(described(text)).toBe(expected)
    expect(parsed(text).text).toBe(text)
  })

  test("none", () => {
    expect(parsePortSpecification("none")).toEqual({ kind: "none" })
  })
})

describe("the rest of the grammar", () => {
  test.each([
    ["127.0.0.1/8080-8080:80-80", "on 127.0.0.1, 8080 to 80"],
    ["1-65535", "1-65535 to 1"],
    ["005000", "5000 to 5000"],
    ["5000:192.0.2.5/6000", "5000 to 6000 at 192.0.2.5"],
    ["5000:192.0.2.5", "5000 to 5000 at 192.0.2.5"],
    ["22,5000-5001:192.0.2.5/6000-6001,~22", "22 to 22, 5000-5001 to 6000 at 192.0.2.5, not 22"],
    ["~22,5000:192.0.2.5/6000", "5000 to 6000 at 192.0.2.5, not 22"],
    ["auto,5000:192.0.2.5/6000", "5000 to 6000 at 192.0.2.5, auto"],
    ["all,5000:192.0.2.5/6000", "5000 to 6000 at 192.0.2.5, all"],
    ["all:192.0.2.6", "all at 192.0.2.6"],
    ["all:2001:db8::6", "all at 2001:db8::6"],
    ["all,auto", "all, auto"],
    ["auto,~22", "all, not 22, auto"],
    ["%eth0/auto", "dev eth0, all, auto"],
    ["::/22", "on ::, 22 to 22"],
    ["[::]/22", "on ::, 22 to 22"],
    ["[::1]/22", "on ::1, 22 to 22"],
    ["::ffff:192.0.2.1/22", "on 192.0.2.1, 22 to 22"],
    ["[::ffff:192.0.2.1]/22", "on 192.0.2.1, 22 to 22"],
    [" 22, 80 ,~443", "22 to 22, 80 to 80, not 443"],
    ["[fe80::1]%eth0/22", "on fe80::1, dev eth0, 22 to 22"],
    ["fe80::1%eth0/22", "on fe80::1, dev eth0, 22 to 22"],
    ["%eth0,1/22", "dev eth0,1, 22 to 22"],
    ["::1/5000:2001:db8::5/6000", "on ::1, 5000 to 6000 at 2001:db8::5"],
    ["5000:[2001:db8::5]/6000", "5000 to 6000 at 2001:db8::5"],
    ["5000:[2001:db8::5]", "5000 to 5000 at 2001:db8::5"],
    ["5000:2001:db8::5", "5000 to 5000 at 2001:db8::5"],
    // A listening address takes precedence over a range with a target.
    ["5000:2001:db8::1/6000", "on 5000:2001:db8::1, 6000 to 6000"],
  ])("%s", (text, expected) => {
    expect(described(text)).toBe(expected)
  })
})

describe("mistakes", () => {
  test.each([
    ["", "'' is neither a port nor a range of ports"],
    ["abc", "'abc' is neither a port"],
    ["0", "there is no port 0"],
    ["65536", "there is no port 65536"],
    ["1-70000", "there is no port 70000"],
    ["22:0", "there is no port 0"],
    ["65535:65536", "there is no port 65536"],
    ["~0", "there is no port 0"],
    ["22-20", "22-20 ends before it begins"],
    ["22-23:33-32", "33-32 ends before it begins"],
    ["2000-5000:3000-3010", "2000-5000 and 3000-3010 are of different sizes"],
    ["8000-8010:9000", "8000-8010 and 9000 are of different sizes"],
    ["8000:9000-9001", "8000 and 9000-9001 are of different sizes"],
    ["5000,", "'' is neither a port"],
    [",5000", "'' is neither a port"],
    ["-5000", "'-5000' is neither a port"],
    ["5000-", "'5000-' is neither a port"],
    ["+5000", "'+5000' is neither a port"],
    ["50 00", "'50 00' is neither a port"],
    ["0x50", "'0x50' is neither a port"],
    ["22-23-24", "'22-23-24' is neither a port"],
    ["22:", "'' is no address to forward to"],
    ["22:23:24", "'23:24' is no address to forward to"],
    ["22:host/23", "'host' is no address to forward to"],
    ["22:/23", "'' is no address to forward to"],
    ["22:192.0.2.5/", "'' is neither a port"],
    ["22:0.0.0.0/22", "'0.0.0.0' is no address to forward to"],
    ["22:224.0.0.1", "'224.0.0.1' is no address to forward to"],
    ["22:[192.0.2.5]/22", "'[192.0.2.5]' is no address to forward to"],
    ["~", "'' is neither a port"],
    ["~~22", "'~22' is neither a port"],
    ["~all", "'all' is neither a port"],
    ["~22:23", "'22:23' is neither a port"],
    ["all:6000", "'6000' is no address to forward to"],
    ["all:192.0.2.6/6000", "'192.0.2.6/6000' is no address to forward to"],
    ["all,all:192.0.2.6", "all is given twice"],
    ["auto:192.0.2.6", "'auto' is neither a port"],
    ["22,none", "none can't be combined with anything else"],
    ["127.0.0.1/none", "none can't be combined with anything else"],
    ["NONE", "'NONE' is neither a port"],
    ["127.0.0.1/", "'' is neither a port"],
    ["/22", "'' is no address to listen at"],
    ["5000/6000", "'5000' is no address to listen at"],
    ["1.2.3/22", "'1.2.3' is no address to listen at"],
    ["eth0/22", "'eth0' is no address to listen at"],
    ["224.0.0.1/22", "'224.0.0.1' is no address to listen at"],
    ["255.255.255.255/22", "'255.255.255.255' is no address to listen at"],
    ["ff02::1%eth0/22", "'ff02::1%eth0' is no address to listen at"],
    ["[::1/22", "'[::1' is no address to listen at"],
    ["[192.0.2.1]/22", "'[192.0.2.1]' is no address to listen at"],
    ["[::ffff:192.0.2.1/22", "'[::ffff:192.0.2.1' is no address to listen at"],
    ["%/22", "'' can't be the name of an interface"],
    ["192.0.2.1%/22", "'' can't be the name of an interface"],
    ["192.0.2.1%averyveryverylongname/22", "'averyveryverylongname' can't be the name of an interface"],
    ["192.0.2.1/5000:2001:db8::5/6000", "192.0.2.1 and 2001:db8::5 are of different IP versions"],
    ["::/5000:192.0.2.5", ":: and 192.0.2.5 are of different IP versions"],
    ["0.0.0.0/all:2001:db8::5", "0.0.0.0 and 2001:db8::5 are of different IP versions"],
  ])("%j: %s", (text, reason) => {
    const specification = parsePortSpecification(text)
    expect(specification).toEqual({ kind: "error", message: expect.stringContaining(reason) })
    expect(specification).toMatchObject({ message: expect.stringMatching(/^Invalid port specifier /) })
  })
})

describe("any specification", () => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 65_535 }), fc.nat(2000))
    .map(([first, size]): PortRange => ({ first, last: Math.min(first + size, 65_535) }))
  const addressOf = (isV4: boolean) =>
    fc
      .integer({ min: 1, max: 0xfffe })
      .map((low) => (isV4 ? `192.0.${low >>> 8}.${low & 0xff}` : `2001:db8::${low.toString(16)}`))
  const target = (isV4: boolean) => fc.option(addressOf(isV4), { nil: undefined })

  test("means the ports that are written", () => {
    const mapped = (isV4: boolean) => fc.record({ range, to: fc.nat(65_535), target: target(isV4) })
    const specification = fc.boolean().chain((isV4) =>
      fc.record({
        listening: addressOf(isV4),
        mapped: fc.array(mapped(isV4), { minLength: 1, maxLength: 5 }),
        exclusions: fc.array(range, { maxLength: 3 }),
        isAuto: fc.boolean(),
        seed: fc.nat(),
      }),
    )
    fc.assert(
      fc.property(specification, ({ listening, mapped, exclusions, isAuto, seed }) => {
        const ranges = mapped.map(({ range: { first, last }, to, target: address }) => {
          const firstTarget = 1 + (to % (65_535 - (last - first)))
          return { first, last, targetAddress: address === undefined ? undefined : Address.parse(address), firstTarget }
        })
        const written = ranges.map(({ targetAddress, firstTarget, ...ports }) => {
          const prefix =
            targetAddress === undefined ? "" : targetAddress.isV4 ? `${targetAddress}/` : `[${targetAddress}]/`
          return `${formatRange(ports)}:${prefix}${firstTarget}-${firstTarget + ports.last - ports.first}`
        })
        const entries = [...written, ...exclusions.map((excluded) => `~${formatRange(excluded)}`)]
        if (isAuto) entries.splice(seed % (entries.length + 1), 0, "auto")
        expect(parsed(`${listening}/${entries.join(",")}`)).toMatchObject({
          address: Address.parse(listening),
          ranges,
          exclusions,
          isAuto,
          all: undefined,
        })
      }),
    )
  })

  test("of any text is read or refused, never more", () => {
    const token = fc.constantFrom(
      "22",
      "80-90",
      "~",
      "-",
      ":",
      "/",
      ",",
      "%",
      "[",
      "]",
      "all",
      "auto",
      "none",
      "::1",
      "192.0.2.1",
      "lo",
      "0",
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(token, { maxLength: 12 }).map((tokens) => tokens.join("")),
        ),
        (text) => {
          const specification = parsePortSpecification(text)
          if (specification.kind !== "ports") return
          const { address, ranges, all, exclusions } = specification
          expect(ranges.length > 0 || all !== undefined).toBe(true)
          for (const { first, last } of [...ranges, ...exclusions])
            expect(first >= 1 && first <= last && last <= 65_535).toBe(true)
          for (const { first, last, firstTarget, targetAddress } of ranges) {
            expect(firstTarget >= 1 && firstTarget + last - first <= 65_535).toBe(true)
            if (address !== undefined && targetAddress !== undefined) expect(targetAddress.isV4).toBe(address.isV4)
          }
        },
      ),
      { numRuns: 2000 },
    )
  })
})
