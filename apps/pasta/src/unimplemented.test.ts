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
])("%j asks for nothing that isn't there", (argv) => {
  expect(unimplemented(...argv)).toBeUndefined()
})

test.each([
  [["-l", "/tmp/log"], "option '--log-file' is not implemented yet"],
  [["--runas", "1000"], "option '--runas' is not implemented yet"],
  [["--splice-only"], "option '--splice-only' is not implemented yet"],
  [["--netns", "box"], "option '--netns' is not implemented yet"],
  [["--no-pidns"], "option '--no-pidns' is not implemented yet"],
  [["4711"], "joining the namespaces of process 4711 is not implemented yet"],
])("%j is refused", (argv, message) => {
  expect(unimplemented(...argv)).toBe(message)
})
