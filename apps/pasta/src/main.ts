/** The command that the user starts. */
import { runProgram } from "@demiflow/program/command"
import manifest from "../package.json" with { type: "json" }

runProgram("pasta", manifest, async (options, operands) => {
  const { launch } = await import("./launcher.ts")
  return launch(options, operands)
})
