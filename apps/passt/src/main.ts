/** The command that the user starts. */
import { BACK_END_CAPABILITIES } from "@demiflow/config"
import { runProgram } from "@demiflow/program/command"
import manifest from "../package.json" with { type: "json" }

runProgram("passt", manifest, async (options) => {
  if (options.printsCapabilities) {
    process.stdout.write(`${BACK_END_CAPABILITIES}\n`)
    return 0
  }
  const { beBorn, passtCalls, printSandbox } = await import("@demiflow/program/launch")
  if (options.printsSandbox)
    return printSandbox(
      options.runAs,
      passtCalls(process.pid, [], { isVhostUser: options.vhostUser, changesPorts: options.confPath !== undefined }),
    )
  const { foreground, descriptor } = options
  const birth = beBorn(new URL("./become", import.meta.url), descriptor, foreground)
  if (foreground) {
    const { runInForeground } = await import("./foreground.ts")
    return runInForeground(options, birth)
  }
  // This process ends by itself, which closes everything that the caller has left open.
  const { launch } = await import("./launcher.ts")
  launch(options, birth)
  return 0
})
