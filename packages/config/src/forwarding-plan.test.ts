import { Interface, IpProtocol } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type ForwardingFacts, type ForwardingRequest, formatRule, planForwarding } from "./forwarding-plan.ts"
import { parsePortSpecification } from "./port-specification.ts"

const usual: ForwardingFacts = {
  hasV4: true,
  hasV6: true,
  ephemeralPorts: { first: 32_768, last: 60_999 },
  freebind: false,
}
const onlyV4 = { ...usual, hasV6: false }
const onlyV6 = { ...usual, hasV4: false }

/** Requests from a command line of `-t`, `-u`, `-T` and `-U`. */
function requests(argv: string): ForwardingRequest[] {
  return [...argv.matchAll(/(-[tuTU]) (\S+)/g)].map(([, option, text]) => {
    const ports = parsePortSpecification(text)
    if (ports.kind !== "ports") throw new Error(JSON.stringify(ports))
    const protocol = option.toLowerCase() === "-t" ? IpProtocol.tcp : IpProtocol.udp
    return {
      option,
      protocol,
      interface: option === "-T" || option === "-U" ? Interface.splice : Interface.host,
      ports,
    }
  })
}

function rules(argv: string, facts = usual): string[] {
  const plan = planForwarding(requests(argv), facts)
  if (plan.kind === "error") throw new Error(plan.message)
  return plan.rules.map(formatRule)
}

function problem(argv: string, facts = usual): string {
  const plan = planForwarding(requests(argv), facts)
  if (plan.kind === "rules") throw new Error(`no error: ${plan.rules.map(formatRule)}`)
  return plan.message
}

describe("the examples of the manual", () => {
  test.each([
    ["-t all", ["TCP [*]:1-32767  =>  1-32767  (best effort)", "TCP [*]:61000-65535  =>  61000-65535  (best effort)"]],
    [
      "-t ::1/all",
      ["TCP [::1]:1-32767  =>  1-32767  (best effort)", "TCP [::1]:61000-65535  =>  61000-65535  (best effort)"],
    ],
    ["-t 22", ["TCP [*]:22  =>  22"]],
    ["-t 22:23", ["TCP [*]:22  =>  23"]],
    ["-t 22,25", ["TCP [*]:22  =>  22", "TCP [*]:25  =>  25"]],
    ["-t 22-80", ["TCP [*]:22-80  =>  22-80"]],
    ["-t 22-80:32-90", ["TCP [*]:22-80  =>  32-90"]],
    ["-t 192.0.2.1/22", ["TCP [192.0.2.1]:22  =>  22"]],
    ["-t 192.0.2.1%eth0/22", ["TCP [192.0.2.1]%eth0:22  =>  22"]],
    ["-t %eth0/22", ["TCP [*]%eth0:22  =>  22"]],
    ["-t 0.0.0.0/5000:192.0.2.5/6000", ["TCP [0.0.0.0]:5000  =>  192.0.2.5:6000"]],
    [
      "-t 127.0.0.6/all:192.0.2.6",
      [
        "TCP [127.0.0.6]:1-32767  =>  192.0.2.6:1-32767  (best effort)",
        "TCP [127.0.0.6]:61000-65535  =>  192.0.2.6:61000-65535  (best effort)",
      ],
    ],
    ["-t 2000-5000,~3000-3010", ["TCP [*]:2000-2999  =>  2000-2999", "TCP [*]:3011-5000  =>  3011-5000"]],
    ["-t 192.0.2.1/20-30,~25", ["TCP [192.0.2.1]:20-24  =>  20-24", "TCP [192.0.2.1]:26-30  =>  26-30"]],
    [
      "-t ~20000-20010",
      [
        "TCP [*]:1-19999  =>  1-19999  (best effort)",
        "TCP [*]:20011-32767  =>  20011-32767  (best effort)",
        "TCP [*]:61000-65535  =>  61000-65535  (best effort)",
      ],
    ],
    ["-t 2222:22", ["TCP [*]:2222  =>  22"]],
  ])("%s", (argv, expected) => {
    expect(rules(argv)).toEqual(expected)
  })
})

describe("ports", () => {
  test("add up, of both protocols, in their order", () => {
    expect(rules("-t 22 -u 53:5353 -t 80,443:8443 -u 22")).toEqual([
      "TCP [*]:22  =>  22",
      "UDP [*]:53  =>  5353",
      "TCP [*]:80  =>  80",
      "TCP [*]:443  =>  8443",
      "UDP [*]:22  =>  22",
    ])
  })

  test("that are excluded are excluded from all ranges of their option, and still lead where they led", () => {
    expect(rules("-t 8000-8003:9000-9003,8500-8502:192.0.2.5/1-3,~8001,~8500-8501")).toEqual([
      "TCP [*]:8000  =>  9000",
      "TCP [*]:8002-8003  =>  9002-9003",
      "TCP [0.0.0.0]:8502  =>  192.0.2.5:3",
    ])
    expect(rules("-t 22,~23 -t 23")).toEqual(["TCP [*]:22  =>  22", "TCP [*]:23  =>  23"])
  })

  test("of 'all' leave out what the host has as ephemeral ports, ranges don't", () => {
    const facts = { ...usual, ephemeralPorts: { first: 1024, last: 65_535 } }
    expect(rules("-t all", facts)).toEqual(["TCP [*]:1-1023  =>  1-1023  (best effort)"])
    expect(rules("-t 40000", facts)).toEqual(["TCP [*]:40000  =>  40000"])
  })

  test.each([
    ["-t 8000-8010,auto", ["TCP [*]:8000-8010  =>  8000-8010"]],
    ["-t 192.0.2.1/auto,8000-8010:9000-9010", ["TCP [192.0.2.1]:8000-8010  =>  9000-9010"]],
    ["-u auto", ["UDP [*]:1-32767  =>  1-32767", "UDP [*]:61000-65535  =>  61000-65535"]],
    ["-t ::1/auto", ["TCP [::1]:1-32767  =>  1-32767", "TCP [::1]:61000-65535  =>  61000-65535"]],
    ["-t all,auto", ["TCP [*]:1-32767  =>  1-32767", "TCP [*]:61000-65535  =>  61000-65535"]],
    [
      "-t auto,~5000",
      ["TCP [*]:1-4999  =>  1-4999", "TCP [*]:5001-32767  =>  5001-32767", "TCP [*]:61000-65535  =>  61000-65535"],
    ],
    ["-t 8000-8010,~8001-8010,auto", ["TCP [*]:8000  =>  8000"]],
    ["-T 8000-8010,auto", ["TCP [*]%lo:8000-8010  =>  8000-8010"]],
  ])("are those that are bound with auto: %s", (argv, expected) => {
    expect(rules(argv)).toEqual(expected.map((rule) => `${rule}  (best effort) (auto-scan)`))
    const plan = planForwarding(requests(argv), usual)
    expect(plan.kind === "rules" && plan.rules.every((rule) => rule.isAuto && rule.isBestEffort)).toBe(true)
  })

  test.each([
    ["-T 22:2222", "TCP [*]%lo:22  =>  2222"],
    ["-U 53", "UDP [*]%lo:53  =>  53"],
    ["-T 127.0.0.1/22", "TCP [127.0.0.1]:22  =>  22"],
    ["-T 192.0.2.1/22", "TCP [192.0.2.1]:22  =>  22"],
    ["-T %eth0/22", "TCP [*]%eth0:22  =>  22"],
    ["-T ::1%lo/22", "TCP [::1]%lo:22  =>  22"],
    ["-T 22:127.0.0.2/23", "TCP [0.0.0.0]%lo:22  =>  127.0.0.2:23"],
  ])("of the namespace are those of its loopback interface, unless given: %s", (argv, expected) => {
    expect(rules(argv)).toEqual([expected])
    expect(planForwarding(requests(argv), { ...usual, freebind: true })).toMatchObject({
      rules: [{ interface: Interface.splice, freebind: false }],
    })
  })

  test("know their option, and whether any address will do", () => {
    const plan = planForwarding(requests("-u 192.0.2.9/22,25"), { ...usual, freebind: true })
    expect(plan).toMatchObject({
      rules: [
        { option: "-u 192.0.2.9/22,25", protocol: 17, freebind: true, isBestEffort: false, firstPort: 22 },
        { option: "-u 192.0.2.9/22,25", protocol: 17, freebind: true, isBestEffort: false, firstPort: 25 },
      ],
    })
    expect(planForwarding(requests("-u 22"), usual)).toMatchObject({ rules: [{ freebind: false, address: undefined }] })
  })
})

describe("versions of IP", () => {
  test("that are off have no part in rules without address", () => {
    expect(rules("-t 22 -u %eth0/23", onlyV4)).toEqual(["TCP [0.0.0.0]:22  =>  22", "UDP [0.0.0.0]%eth0:23  =>  23"])
    expect(rules("-t 22", onlyV6)).toEqual(["TCP [::]:22  =>  22"])
  })

  test("without address are those of the target", () => {
    expect(rules("-t 22:192.0.2.5,23:2001:db8::5")).toEqual([
      "TCP [0.0.0.0]:22  =>  192.0.2.5:22",
      "TCP [::]:23  =>  [2001:db8::5]:23",
    ])
  })

  test.each([
    ["-t 22 -t ::1/23", onlyV4, "IPv6 is off, but '-t ::1/23' is for IPv6"],
    ["-t ::/22", onlyV4, "IPv6 is off, but '-t ::/22' is for IPv6"],
    ["-t 22:2001:db8::5", onlyV4, "IPv6 is off, but '-t 22:2001:db8::5' is for IPv6"],
    ["-t all:2001:db8::5", onlyV4, "IPv6 is off, but '-t all:2001:db8::5' is for IPv6"],
    ["-u 127.0.0.1/22", onlyV6, "IPv4 is off, but '-u 127.0.0.1/22' is for IPv4"],
    ["-t 22:192.0.2.5/23", onlyV6, "IPv4 is off, but '-t 22:192.0.2.5/23' is for IPv4"],
  ])("that are off can't be asked for: %s", (argv, facts, message) => {
    expect(problem(argv, facts)).toBe(message)
  })
})

describe("contradictions", () => {
  test.each([
    ["-t 22,22", "'-t 22,22' forwards port 22 already"],
    ["-t 22,20-30", "'-t 22,20-30' forwards port 22 already"],
    ["-t 22 -t 22", "'-t 22' forwards port 22 already"],
    ["-t 22 -t 127.0.0.1/22", "'-t 22' forwards port 22 already"],
    ["-t 22 -t %eth0/22", "'-t 22' forwards port 22 already"],
    ["-t %eth0/22 -t 192.0.2.1%eth0/22", "'-t %eth0/22' forwards port 22 already"],
    ["-t 0.0.0.0/22 -t 127.0.0.1/22", "'-t 0.0.0.0/22' forwards port 22 already"],
    ["-t ::/22 -t 22", "'-t ::/22' forwards port 22 already"],
    ["-t ::1/22 -t ::/22:23", "'-t ::1/22' forwards port 22 already"],
    ["-t 22:192.0.2.5 -t 22", "'-t 22:192.0.2.5' forwards port 22 already"],
    ["-u 20-30 -u 25-40:26-41", "'-u 20-30' forwards ports 25-30 already"],
    ["-t 22,all", "'-t 22,all' forwards port 22 already"],
    ["-t all -t 5000:22", "'-t all' forwards port 5000 already"],
    ["-T 22 -T 127.0.0.1/22", "'-T 22' forwards port 22 already"],
    ["-t auto -t 22", "'-t auto' forwards port 22 already"],
    ["-t ~20 -t ~30", "'-t ~20' forwards ports 1-19 already"],
  ])("%s", (argv, reason) => {
    expect(problem(argv)).toMatch(/^Overlapping port specifier /)
    expect(problem(argv)).toContain(reason)
  })

  test.each([
    "-t 22 -u 22",
    "-t 22 -T 22",
    "-t auto -u auto -T auto -U auto",
    "-T 127.0.0.1/22 -T %eth0/23",
    "-t 22 -t 23:22",
    "-t 127.0.0.1/22 -t 127.0.0.2/22",
    "-t 0.0.0.0/22 -t ::/22:23",
    "-t 22:192.0.2.5 -t 22:2001:db8::5",
    "-t %eth0/22 -t %eth1/22",
    "-t 127.0.0.1/all -t 192.0.2.1/5000:22",
    "-t all,~5000 -t 5000:22",
    "-t 22,20-30,~22",
  ])("%s is none", (argv) => {
    expect(rules(argv)).not.toEqual([])
  })

  test("no port is left", () => {
    expect(problem("-t 22 -t 5000-5010,~5000-5005,~5006-5010")).toBe(
      "'-t 5000-5010,~5000-5005,~5006-5010' excludes every port that it forwards",
    )
  })
})

describe("any ports", () => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 200 }), fc.nat(20))
    .map(([first, size]) => ({ first, last: first + size }))
  const mapped = fc.record({ range, shift: fc.integer({ min: 0, max: 300 }) })

  test("are forwarded if they are included and not excluded, each to its own target", () => {
    fc.assert(
      fc.property(
        fc.array(mapped, { minLength: 1, maxLength: 4 }),
        fc.array(range, { maxLength: 4 }),
        (included, excluded) => {
          const expected = new Map<number, number>()
          let isTwice = false
          for (const { range: ports, shift } of included) {
            for (let port = ports.first; port <= ports.last; port++) {
              if (excluded.some(({ first, last }) => port >= first && port <= last)) continue
              isTwice ||= expected.has(port)
              expected.set(port, port + shift)
            }
          }
          const text = [
            ...included.map(({ range: { first, last }, shift }) => `${first}-${last}:${first + shift}-${last + shift}`),
            ...excluded.map(({ first, last }) => `~${first}-${last}`),
          ].join(",")
          const plan = planForwarding(requests(`-t ${text}`), usual)
          if (isTwice || expected.size === 0) {
            expect(plan.kind).toBe("error")
            return
          }
          const actual = new Map<number, number>()
          if (plan.kind === "error") throw new Error(plan.message)
          for (const { firstPort, lastPort, firstTargetPort } of plan.rules) {
            for (let port = firstPort; port <= lastPort; port++) actual.set(port, firstTargetPort + port - firstPort)
          }
          expect([...actual].sort()).toEqual([...expected].sort())
        },
      ),
    )
  })
})
