/** The user that runs the program under test, and its environment. */
import { ordinaryUser } from "./machine.ts"
import type { Place } from "./places.ts"

export type Identity = "ordinary" | "root"

/** The environment of a user who has just logged in. */
export function environmentOf(as: Identity): NodeJS.ProcessEnv {
  const { PATH, LANG } = process.env
  return { PATH, LANG, TERM: "xterm", SHELL: "/bin/sh", HOME: as === "root" ? "/root" : "/tmp", NO_COLOR: "1" }
}

/** The prefix of a command that runs it in a namespace as root or as an ordinary user. */
export function identity(place: Place, as: Identity, before: readonly string[] = []): readonly string[] {
  return [...place.prefix(), ...before, ...(as === "ordinary" ? ordinaryUser.prefix : [])]
}
