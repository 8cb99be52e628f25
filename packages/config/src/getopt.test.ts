import { describe, expect, test } from "vitest"
import { type OptionShape, scanOptions } from "./getopt.ts"

const table: OptionShape[] = [
  { long: ["quiet"], short: "q" },
  { long: ["ipv4-only"], short: "4" },
  { long: ["mtu"], short: "m", argument: "MTU" },
  { long: ["tcp-ports"], short: "t", argument: "SPEC" },
  { long: ["no-tcp"] },
  { long: ["no-dhcp"] },
  { long: ["no-dhcpv6"] },
  { long: ["socket", "socket-path"], short: "s", argument: "PATH" },
]

function scan(...argv: string[]) {
  const { options, operands, problem } = scanOptions(argv, table)
  return { options: options.map(({ option, argument }) => [option.long[0], argument]), operands, problem }
}

const found = (options: string[][], ...operands: string[]) => ({ options, operands, problem: undefined })

describe("short options", () => {
  test("are bundled", () => {
    expect(scan("-q4")).toEqual(
      found([
        ["quiet", ""],
        ["ipv4-only", ""],
      ]),
    )
  })

  test.each([[["-m1500"]], [["-m", "1500"]]])("take an argument: %j", (argv) => {
    expect(scan(...argv)).toEqual(found([["mtu", "1500"]]))
  })

  test("take the rest of a bundle as argument", () => {
    expect(scan("-q4m15q")).toEqual(
      found([
        ["quiet", ""],
        ["ipv4-only", ""],
        ["mtu", "15q"],
      ]),
    )
  })

  test("take an equals sign as part of the argument", () => {
    expect(scan("-m=15")).toEqual(found([["mtu", "=15"]]))
  })

  test("take an argument that looks like an option", () => {
    expect(scan("-t", "-1", "-t", "--", "-q")).toEqual(
      found([
        ["tcp-ports", "-1"],
        ["tcp-ports", "--"],
        ["quiet", ""],
      ]),
    )
  })

  test("fail when unknown, after those before", () => {
    expect(scan("-qx")).toEqual({ options: [["quiet", ""]], operands: [], problem: "invalid option -- 'x'" })
  })

  test("fail without their argument", () => {
    expect(scan("-m").problem).toBe("option requires an argument -- 'm'")
  })
})

describe("long options", () => {
  test.each([[["--mtu=1500"]], [["--mtu", "1500"]], [["--mt=1500"]], [["--m", "1500"]]])(
    "take an argument: %j",
    (argv) => {
      expect(scan(...argv)).toEqual(found([["mtu", "1500"]]))
    },
  )

  test("take an empty argument, and one with equals signs", () => {
    expect(scan("--mtu=", "--mtu=a=b")).toEqual(
      found([
        ["mtu", ""],
        ["mtu", "a=b"],
      ]),
    )
  })

  test("take an argument that looks like an option", () => {
    expect(scan("--tcp-ports", "-1")).toEqual(found([["tcp-ports", "-1"]]))
  })

  test("prefer an exact name to a longer one", () => {
    expect(scan("--no-dhcp")).toEqual(found([["no-dhcp", ""]]))
  })

  test("may be abbreviated to what two names of one option share", () => {
    expect(scan("--sock", "x")).toEqual(found([["socket", "x"]]))
  })

  test("name the possibilities when ambiguous", () => {
    expect(scan("--no=3").problem).toBe(
      "option '--no=3' is ambiguous; possibilities: '--no-tcp' '--no-dhcp' '--no-dhcpv6'",
    )
  })

  test("fail when unknown, without argument, with an argument too many", () => {
    expect(scan("--foo=1").problem).toBe("unrecognized option '--foo=1'")
    expect(scan("--mt").problem).toBe("option '--mtu' requires an argument")
    expect(scan("--qui=4").problem).toBe("option '--quiet' doesn't allow an argument")
  })
})

describe("operands", () => {
  test("begin at the first word that is none of an option", () => {
    expect(scan("-q", "ls", "-4", "--mtu")).toEqual(found([["quiet", ""]], "ls", "-4", "--mtu"))
  })

  test("begin behind --", () => {
    expect(scan("-q", "--", "-4")).toEqual(found([["quiet", ""]], "-4"))
  })

  test("begin at a single dash", () => {
    expect(scan("-", "-q")).toEqual(found([], "-", "-q"))
  })
})
