/** How the background process comes into being, as a list of steps. */
import type { DataPathPipes, HandOver, RuntimeCommand } from "@demiflow/program/launch"
import { OpenFlag, type Step } from "@demiflow/sys"

/** Numbers of the descriptors that the data path is started with. */
export const DataPathDescriptor = {
  /** To read `DataPathSettings` from, to its end. */
  settings: 3,
  /** To write `DataPathReport` lines to, until it is ready. */
  report: 4,
  /** The connection to the hypervisor, where the caller has handed one down. */
  hypervisor: 5,
} as const

/** First number that is free. */
const FIRST_FREE = 6

/** A session of its own, without terminal, and none of the caller's descriptors but those handed down. */
export function launchSteps(
  { settings, report }: DataPathPipes,
  hypervisor: number | undefined,
  { path, arguments: words, variables }: RuntimeCommand,
  { takeAway, keep }: Pick<HandOver, "takeAway" | "keep">,
): Step[] {
  return [
    ...takeAway,
    // First: its number may be one of those that are given to others.
    ...(hypervisor === undefined ? [] : [duplicate(hypervisor, DataPathDescriptor.hypervisor)]),
    duplicate(settings.readEnd, DataPathDescriptor.settings),
    duplicate(report.writeEnd, DataPathDescriptor.report),
    ...[0, 1, 2].map((number): Step => ({ kind: "open", path: "/dev/null", flags: OpenFlag.readWrite, number })),
    { kind: "closeOnExecFrom", first: hypervisor === undefined ? DataPathDescriptor.hypervisor : FIRST_FREE },
    ...keep,
    { kind: "newSession" },
    { kind: "execute", paths: [path], arguments: words, variables },
  ]
}

function duplicate(descriptor: number, number: number): Step {
  return { kind: "duplicate", descriptor, number }
}
