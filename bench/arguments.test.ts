import { expect, it } from "vitest"
import { commandOf, parseArguments, UsageError } from "./arguments.mjs"

it("measures five rounds of two seconds by default", () => {
  expect(parseArguments([])).toMatchObject({
    rounds: 5,
    measured: 2000,
    warm: 300,
    only: undefined,
    more: [],
    without: [],
  })
})

it("is quick on demand, and still takes other numbers", () => {
  expect(parseArguments(["--quick"])).toMatchObject({ rounds: 3, measured: 150, warm: 38 })
  expect(parseArguments(["--quick", "--rounds", "1", "--seconds", "0.1"])).toMatchObject({ rounds: 1, measured: 100 })
})

it("takes several peers and leaves several out", () => {
  const settings = parseArguments([
    "--peer",
    "newer=/opt/a=b/pasta",
    "--peer",
    "x=y",
    "--without",
    "direct",
    "--without",
    "a",
  ])
  expect(settings?.more).toEqual([
    { name: "newer", path: "/opt/a=b/pasta" },
    { name: "x", path: "y" },
  ])
  expect(settings?.without).toEqual(["direct", "a"])
})

it("measures pasta, passt, or passt by vhost-user", () => {
  expect(parseArguments([])?.program).toBe("pasta")
  expect(commandOf("pasta")).toBe("pasta")
  expect(parseArguments(["--program", "vhost-user"])?.program).toBe("vhost-user")
  expect(commandOf("vhost-user")).toBe("passt")
  expect(() => parseArguments(["--program", "slirp4netns"])).toThrow(UsageError)
})

it("matches rows without regard to case", () => {
  expect(parseArguments(["--only", "tcp up$"])?.only?.test("TCP, MTU 1500: TCP up")).toBe(true)
})

it("gives nothing when help is asked for", () => {
  expect(parseArguments(["--quick", "-h"])).toBeUndefined()
})

it.each([
  [["--fast"], /--fast/],
  [["more"], /more/],
  [["--rounds", "0"], /--rounds takes a positive number, not "0"/],
  [["--seconds", "long"], /--seconds takes a positive number, not "long"/],
  [["--peer", "/usr/bin/pasta"], /--peer takes NAME=PATH/],
  [["--only", "("], /--only takes a regular expression/],
])("refuses %j with a sentence", (words, message) => {
  expect(() => parseArguments(words)).toThrow(UsageError)
  expect(() => parseArguments(words)).toThrow(message)
})
