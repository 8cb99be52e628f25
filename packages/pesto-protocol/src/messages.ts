/**
 * The messages of version 2, written. A connection has at most three:
 *
 * 1. The running program says hello: which tables it has, and the rules in them.
 * 2. The client may answer with the rules of all tables as they are to be, and then closes the connection.
 * 3. A program whose tables have the capability `answers` says how that ended. Version 2 of other programs knows no
 *    such message: their clients have closed the connection by then, and don't notice.
 */
import { type PestoRule, RULE_BYTES, writeRule } from "./rule.ts"
import { encodeText } from "./text.ts"

/** The version that this package speaks. */
export const PESTO_VERSION = 2

/** What a table's place can do. Bits. */
export const PestoCapability = {
  ipv4: 0x1,
  ipv6: 0x2,
  tcp: 0x4,
  udp: 0x8,
  /** Rules that follow what is bound: `auto`. */
  auto: 0x10,
  /** Rules for what arrives on one interface. */
  interfaceNames: 0x20,
  /** An update gets an answer. demiflow's own. */
  answers: 0x40000000,
} as const

/** Number and name of each place, as on the wire. */
export const PestoPlace = {
  /** Ports of the host, which lead to the guest. */
  host: { id: 1, name: "HOST" },
  /** Ports of the guest's namespace, which lead to the host. */
  splice: { id: 3, name: "SPLICE" },
} as const

/** A table of a running program. */
export interface PestoTable {
  /** 1–255; see {@link PestoPlace}. */
  readonly id: number
  /** At most 127 bytes. */
  readonly name: string
  /** Bits of {@link PestoCapability}. */
  readonly capabilities: number
  readonly rules: readonly PestoRule[]
}

/** What a client wants: the rules of all tables as they are to be. A table that is left out gets none. */
export interface PestoUpdate {
  readonly tables: readonly Pick<PestoTable, "id" | "rules">[]
  /** True to change nothing if the tables aren't those of the hello any more. demiflow's own. */
  readonly isConditional: boolean
}

/** How an update ended. */
export interface PestoAnswer {
  /**
   * `done`: the tables are as wanted. `failed`: they are as before. `outdated`: they were changed since the hello, so a
   * conditional update changed nothing.
   */
  readonly result: "done" | "failed" | "outdated"
  /** What the user should know, in lines: why nothing was changed, or which ports are missing. May be empty. */
  readonly message: string
}

/** "basil:s" and a zero. */
export const MAGIC: Uint8Array = Uint8Array.of(0x62, 0x61, 0x73, 0x69, 0x6c, 0x3a, 0x73, 0)
export const NAME_BYTES = 128
export const INTERFACE_NAME_BYTES = 16
export const HELLO_BYTES: number = MAGIC.length + 12
/** Rules of a table in an update, at most. */
export const MOST_RULES = 255
/** The number of a table without rules that makes an update conditional. */
export const CONDITION_ID = 255
/** Results in the order of their numbers. */
export const RESULTS = ["done", "failed", "outdated"] as const
/** Bytes of an answer's text, at most. */
export const MOST_TEXT_BYTES = 4_096

/** The first message of the running program. */
export function encodeHello(tables: readonly PestoTable[]): Uint8Array {
  const bytes = new Uint8Array(
    HELLO_BYTES + 1 + tables.reduce((sum, { rules }) => sum + 1 + NAME_BYTES + 8 + rules.length * RULE_BYTES, 0),
  )
  const view = new DataView(bytes.buffer)
  bytes.set(MAGIC)
  view.setUint32(MAGIC.length, PESTO_VERSION)
  view.setUint32(MAGIC.length + 4, NAME_BYTES)
  view.setUint32(MAGIC.length + 8, INTERFACE_NAME_BYTES)
  let offset = HELLO_BYTES
  for (const { id, name, capabilities, rules } of tables) {
    view.setUint8(offset, id)
    bytes.set(encodeText(name).subarray(0, NAME_BYTES - 1), offset + 1)
    view.setUint32(offset + 1 + NAME_BYTES, capabilities)
    offset = writeRules(bytes, offset + 5 + NAME_BYTES, rules)
  }
  return bytes
}

/** Throws `RangeError` for more than {@link MOST_RULES} in a table. */
export function encodeUpdate({ tables: wanted, isConditional }: PestoUpdate): Uint8Array {
  const tables = isConditional ? [{ id: CONDITION_ID, rules: [] }, ...wanted] : wanted
  const bytes = new Uint8Array(1 + tables.reduce((sum, { rules }) => sum + 5 + rules.length * RULE_BYTES, 0))
  let offset = 0
  for (const { id, rules } of tables) {
    if (rules.length > MOST_RULES) throw new RangeError(`A table has at most ${MOST_RULES} rules, not ${rules.length}`)
    bytes[offset] = id
    offset = writeRules(bytes, offset + 1, rules)
  }
  return bytes
}

/** The number of the result; the bytes of a text; the text. */
export function encodeAnswer({ result, message }: PestoAnswer): Uint8Array {
  const whole = encodeText(message)
  // A character has at most 3 bytes for each unit of the text.
  const text = whole.length <= MOST_TEXT_BYTES ? whole : encodeText(message.slice(0, MOST_TEXT_BYTES / 3))
  const bytes = new Uint8Array(8 + text.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, RESULTS.indexOf(result))
  view.setUint32(4, text.length)
  bytes.set(text, 8)
  return bytes
}

/** Writes the number of rules, and the rules. Returns the offset behind them. */
function writeRules(bytes: Uint8Array, offset: number, rules: readonly PestoRule[]): number {
  new DataView(bytes.buffer).setUint32(offset, rules.length)
  let next = offset + 4
  for (const rule of rules) {
    writeRule(bytes, next, rule)
    next += RULE_BYTES
  }
  return next
}
