/** The command that the user starts. */
import { runProgram } from "@demiflow/program/command"

runProgram("passt", new URL("../package.json", import.meta.url), async (options) => {
  if (!options.foreground) return (await import("./launcher.ts")).launch(options)
  return (await import("./foreground.ts")).runInForeground(options)
})
