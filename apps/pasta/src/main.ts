/**
 * The command that the user starts.
 *
 * It should be on its way soon: what isn't needed for help, version and mistakes in options is loaded after these.
 */
import { readFileSync } from "node:fs"
import { helpText, parseCommandLine } from "@demiflow/config"
import { complain, sentenceOf } from "./messages.ts"

const STATUS_FAILED = 1
const ARGUMENTS_FROM = 2

main(process.argv.slice(ARGUMENTS_FROM)).then((status) => process.exit(status))

async function main(argv: readonly string[]): Promise<number> {
  const parsed = parseCommandLine(argv, "pasta")
  switch (parsed.kind) {
    case "help":
      process.stdout.write(helpText("pasta"))
      return 0
    case "version":
      process.stdout.write(`pasta ${version()}\n`)
      return 0
    case "error":
      complain(parsed.message)
      return STATUS_FAILED
    case "run":
      return run(parsed)
  }
}

async function run({ options, operands }: Run): Promise<number> {
  try {
    const { launch } = await import("./launcher.ts")
    return await launch(options, operands)
  } catch (error) {
    complain(sentenceOf(error))
    return error instanceof Error && "status" in error ? Number(error.status) : STATUS_FAILED
  }
}

type Run = Extract<ReturnType<typeof parseCommandLine>, { kind: "run" }>

function version(): string {
  const description = readFileSync(new URL("../package.json", import.meta.url), "utf8")
  return `${(JSON.parse(description) as { version: string }).version} (demiflow)`
}
