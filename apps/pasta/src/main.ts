/** The command that the user starts. */
import { runProgram } from "@demiflow/program/command"

runProgram("pasta", new URL("../package.json", import.meta.url), async (options, operands) => {
  const { launch } = await import("./launcher.ts")
  return launch(options, operands)
})
