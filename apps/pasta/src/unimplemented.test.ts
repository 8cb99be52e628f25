import { parseCommandLine } from "@demiflow/config"
import { expect, test } from "vitest"
import { findUnimplemented } from "./unimplemented.ts"

function unimplemented(...argv: string[]): string | undefined {
  const parsed = parseCommandLine(argv, "pasta")
  if (parsed.kind !== "run") throw new Error(`${argv.join(" ")}: ${parsed.kind}`)
  return findUnimplemented(parsed.options)
}

test.each([
  [[]],
  [["--config-net", "-t", "none", "-u", "none", "-T", "none", "-U", "none"]],
  [["--no-splice", "--", "true"]],
  [["--netns", "box", "--userns", "/proc/1/ns/user", "--runas", "1000", "-l", "/tmp/log", "--stats", "1"]],
  [["--no-pidns", "--netns-only", "true"]],
  [["4711"]],
])("%j asks for nothing that isn't there", (argv) => {
  expect(unimplemented(...argv)).toBeUndefined()
})

test.each([
  [["-t", "8080:80"], "option '-t' is implemented for 'none' only"],
  [["-u", "auto"], "option '-u' is implemented for 'none' only"],
  [["-T", "22"], "option '-T' is implemented for 'none' only"],
  [["-U", "all"], "option '-U' is implemented for 'none' only"],
  [["--splice-only"], "option '--splice-only' is not implemented yet"],
  [["--freebind"], "option '--freebind' is not implemented yet"],
  [["--host-lo-to-ns-lo"], "option '--host-lo-to-ns-lo' is not implemented yet"],
])("%j is refused", (argv, message) => {
  expect(unimplemented(...argv)).toBe(message)
})
