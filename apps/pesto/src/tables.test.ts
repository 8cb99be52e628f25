import { PestoCapability, PestoPlace, type PestoTable } from "@demiflow/pesto-protocol"
import { describe, expect, test } from "vitest"
import { parseCommandLine } from "./command-line.ts"
import { carryOut, formatTables } from "./tables.ts"

const EPHEMERAL = { first: 32_768, last: 60_999 }
const { answers: _, ...ofPasta } = PestoCapability
const capabilities = Object.values(ofPasta).reduce((bits, bit) => bits | bit, 0)
const EMPTY: readonly PestoTable[] = Object.values(PestoPlace).map((place) => ({ ...place, capabilities, rules: [] }))

/** Carries out a command line, and returns the tables as they are shown. */
function after(line: string, before: readonly PestoTable[] = EMPTY): PestoTable[] {
  const parsed = parseCommandLine([...line.split(" "), "/socket"])
  if (parsed.kind !== "run") throw new Error(parsed.kind === "error" ? parsed.message : parsed.kind)
  return carryOut(parsed.commands, before, EPHEMERAL)
}

function shown(tables: readonly PestoTable[]): string[] {
  return formatTables(tables)
    .trimEnd()
    .split("\n")
    .map((line) => line.trim())
}

/** What the C programs of 2026-10-02 came to, with `-t 127.0.0.1/5000-5002:6000-6002 -u 7000` before. */
describe("as the C program", () => {
  const before = after("-t 127.0.0.1/5000-5002:6000-6002 -u 7000")
  test.each([
    ["-t 5001 -A -t 8080:80", ["HOST", "TCP [*]:5001  =>  5001", "TCP [*]:8080  =>  80", "SPLICE"]],
    ["-t 1 -t 2 -u 3", ["HOST", "TCP [*]:1  =>  1", "TCP [*]:2  =>  2", "UDP [*]:3  =>  3", "SPLICE"]],
    ["-t none -t 22", ["HOST", "TCP [*]:22  =>  22", "SPLICE"]],
    ["-D -t 127.0.0.1/5000-5002:6000-6002", ["HOST", "UDP [*]:7000  =>  7000", "SPLICE"]],
    ["-C HOST", ["HOST", "SPLICE"]],
    ["-C HOST -A -T 45", ["HOST", "SPLICE", "TCP [*]%lo:45  =>  45"]],
    [
      "-t all",
      [
        "HOST",
        "TCP [*]:1-32767  =>  1-32767  (best effort)",
        "TCP [*]:61000-65535  =>  61000-65535  (best effort)",
        "SPLICE",
      ],
    ],
    ["-t 20-30,~25", ["HOST", "TCP [*]:20-24  =>  20-24", "TCP [*]:26-30  =>  26-30", "SPLICE"]],
  ])("pesto %s", (line, expected) => {
    expect(shown(after(line, before))).toEqual(expected)
  })

  test.each([
    ["-A -t 127.0.0.1/5001", "has ports of 'TCP [127.0.0.1]:5000-5002  =>  6000-6002'"],
    ["-A -u 7000", "has ports of 'UDP [*]:7000  =>  7000'"],
    ["-D -t 127.0.0.1/5001:6001", "There is no rule 'TCP [127.0.0.1]:5001  =>  6001' to delete: 'TCP [127.0.0.1]:5000"],
    ["-D -t 1234", "There is no rule 'TCP [*]:1234  =>  1234' to delete"],
    ["-C NOPE", "There is no table NOPE, only HOST and SPLICE"],
    ["-A -t none", "'none' can't be used with --add"],
    ["-t 22 -t 22", "has ports of 'TCP [*]:22  =>  22'"],
  ])("pesto %s is refused", (line, message) => {
    expect(() => after(line, before)).toThrow(message)
  })

  test("the sequence of the manual", () => {
    const line = "-A -t 2000 -C HOST -A -T 3000 -t 2001"
    expect(shown(after(line))).toEqual(["HOST", "TCP [*]:2001  =>  2001", "SPLICE", "TCP [*]%lo:3000  =>  3000"])
  })
})

describe("a program that can do less", () => {
  const { ipv4, tcp } = PestoCapability
  const limited = [{ ...PestoPlace.host, capabilities: ipv4 | tcp, rules: [] }]

  test("opens ports of its IP version only", () => {
    expect(shown(after("-t 22", limited))).toEqual(["HOST", "TCP [0.0.0.0]:22  =>  22"])
    expect(() => after("-t ::1/22", limited)).toThrow("IPv6 is off")
  })

  test("has no namespace, and follows nothing", () => {
    expect(() => after("-T 22", limited)).toThrow("There is no table SPLICE, only HOST")
    expect(() => after("-t auto", limited)).toThrow("HOST has no automatic ports")
  })

  test("is asked for no protocol that it hasn't", () => {
    expect(() => after("-u 22", limited)).toThrow("HOST has no UDP")
  })
})

test("a table with more rules than the protocol has is refused", () => {
  const line = Array.from({ length: 256 }, (_unused, index) => `-t ${2 * index + 1}`).join(" ")
  expect(() => after(line)).toThrow("HOST would have 256 rules, and 255 are possible")
})

describe("a command line", () => {
  test("may have its options behind the path", () => {
    expect(parseCommandLine(["/socket", "-st", "22"])).toMatchObject({ kind: "run", path: "/socket", shows: true })
  })

  test.each([
    [[], "the path of a socket is missing"],
    [["/a", "/b"], "there is one path, so '/b' has no meaning"],
    [["-x"], "invalid option -- 'x'"],
    [["-t", "99999", "/a"], "Invalid port specifier 99999: there is no port 99999"],
    [["--ad\n", "/a"], "unrecognized option '--ad?'"],
  ])("%j is refused", (argv, message) => {
    expect(parseCommandLine(argv)).toEqual({ kind: "error", message: expect.stringContaining(message) })
  })

  test.each(["help", "version"])("--%s goes before everything else", (name) => {
    expect(parseCommandLine(["-t", "22", `--${name}`])).toEqual({ kind: name })
  })
})
