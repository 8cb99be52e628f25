/** The command that the user starts. */
import { runProgram } from "@demiflow/program/command"

runProgram("passt", new URL("../package.json", import.meta.url), async (options) => {
  const { launch } = await import("./launcher.ts")
  return launch(options)
})
