import type { PortRange } from "@demiflow/config"
import type { PestoTable } from "@demiflow/pesto-protocol"
import type { ParsedCommandLine } from "./command-line.ts"
import { Conversation } from "./conversation.ts"
import { carryOut, formatTables } from "./tables.ts"

const FAILED = 1
/** Each other client makes at most one attempt fail. */
const MOST_ATTEMPTS = 100

type Wanted = Extract<ParsedCommandLine, { kind: "run" }>

/** What a run needs of its surroundings. */
export interface Surroundings {
  /** Ports that the kernel assigns to outgoing connections. */
  readonly ephemeral: PortRange
  readonly print: (text: string) => void
  /** Takes lines for standard error. */
  readonly complain: (text: string) => void
}

/** Shows or changes the ports. Returns the status to end with. Throws an error whose message is for the user. */
export async function run(wanted: Wanted, surroundings: Surroundings): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const status = await converse(wanted, surroundings, attempt < MOST_ATTEMPTS)
    if (status !== undefined) return status
  }
}

/** Returns undefined if another client has changed the ports meanwhile, and `retries`. */
async function converse(
  { path, commands, shows, isDebug }: Wanted,
  { ephemeral, print, complain }: Surroundings,
  retries: boolean,
): Promise<number | undefined> {
  const conversation = await Conversation.begin(path)
  try {
    const before = await conversation.hello()
    if (isDebug) for (const table of before) complain(describe(table))
    const show = (title: string, tables: readonly PestoTable[]) => print(`${title} (${path})\n${formatTables(tables)}`)
    if (commands.length === 0) {
      show("passt/pasta configuration", before)
      return 0
    }
    let after: PestoTable[]
    try {
      after = carryOut(commands, before, ephemeral)
    } catch (error) {
      if (shows) show("Previous configuration", before)
      throw error
    }
    const answer = await conversation.update(after)
    if (answer?.result === "outdated" && retries) return undefined
    if (shows) show("Previous configuration", before)
    if (answer !== undefined && answer.message !== "") complain(answer.message)
    if (answer !== undefined && answer.result !== "done") return FAILED
    if (shows) show("Updated configuration", after)
    return 0
  } finally {
    conversation.end()
  }
}

function describe({ id, name, capabilities, rules }: PestoTable): string {
  return `table ${id}: ${name}, ${rules.length} rules, capabilities 0x${capabilities.toString(16)}`
}
