/** The parts of the wall, and how `--print-sandbox` and the log report which of them hold. */

/** In the order of reports. */
const NAMES = {
  namespaces: "namespaces of its own",
  emptyRoot: "an empty root",
  noCapabilities: "no capabilities",
  noNewPrivileges: "no new privileges",
  notDumpable: "not dumpable",
  noRings: "no io_uring",
  filter: "filtered system calls",
  landlock: "Landlock",
} as const

/** A part of the wall. */
export type Part = keyof typeof NAMES

const PARTS = Object.keys(NAMES) as readonly Part[]

/** Why a part doesn't hold; undefined: it does. */
export type Findings = Readonly<Record<Part, string | undefined>>

/** Which parts hold. */
export type Wall = Readonly<Record<Part, boolean>>

/** A line for each part, with the reasons. */
export function listParts(findings: Findings): string {
  return PARTS.map((part) => {
    const whyNot = findings[part]
    return whyNot === undefined ? `yes: ${NAMES[part]}\n` : `no: ${NAMES[part]}: ${whyNot}\n`
  }).join("")
}

/** One line that lists which parts hold, and which don't. */
export function describeWall(wall: Wall): string {
  const named = (holds: boolean): string =>
    PARTS.filter((part) => wall[part] === holds)
      .map((part) => NAMES[part])
      .join(", ")
  const missing = named(false)
  return `Sandbox: ${named(true)}${missing === "" ? "" : `; without ${missing}`}`
}
