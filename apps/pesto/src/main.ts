import { readFileSync } from "node:fs"
import { ephemeralPorts } from "@demiflow/config"
import manifest from "../package.json" with { type: "json" }
import { parseCommandLine } from "./command-line.ts"
import { helpText } from "./help.ts"
import { run } from "./run.ts"

const LOCAL_PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
const FAILED = 1

// A reader of the output may end first. The change goes on.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})

main().then(
  (status) => {
    process.exitCode = status
  },
  (error: unknown) => {
    complain(error instanceof Error ? error.message : String(error))
    process.exitCode = FAILED
  },
)

async function main(): Promise<number> {
  const parsed = parseCommandLine(process.argv.slice(2))
  switch (parsed.kind) {
    case "help":
      process.stdout.write(helpText())
      return 0
    case "version":
      process.stdout.write(`pesto ${manifest.version} (demiflow)\n`)
      return 0
    case "error":
      complain(parsed.message)
      return FAILED
    case "run":
      return run(parsed, {
        ephemeral: ephemeralPorts(readFileSync(LOCAL_PORT_RANGE, "utf8")),
        print: (text) => process.stdout.write(text),
        complain,
      })
  }
}

function complain(message: string): void {
  for (const line of message.split("\n")) process.stderr.write(`pesto: ${line}\n`)
}
