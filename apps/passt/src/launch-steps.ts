/** How the data path comes into being, as a list of steps. */
import {
  type DataPathPipes,
  executeRuntime,
  type HandOver,
  keepOpen,
  leaveStandardDescriptors,
  type RuntimeCommand,
} from "@demiflow/program/launch"
import type { Step } from "@demiflow/sys"

/** Numbers of the descriptors that the data path is started with. */
export const DataPathDescriptor = {
  /** To read `DataPathSettings` from, to its end. */
  settings: 3,
  /** To write `DataPathReport` lines to, until it is ready. */
  report: 4,
  /** To have the file system emptied, see `WallHelper`; not there if that isn't possible. */
  helper: 5,
  /** The connection to the hypervisor, where the caller has handed one down. */
  hypervisor: 6,
} as const

/** What to start. */
export interface LaunchPlan {
  readonly pipes: DataPathPipes
  /** The connection to the hypervisor, by its descriptor here; undefined: none is handed down. */
  readonly hypervisor: number | undefined
  /** The way to the helper that empties the file system, by its descriptor here; undefined: there is none. */
  readonly helper: number | undefined
  /** The runtime and its arguments. */
  readonly dataPath: RuntimeCommand
  /** Descriptors that the user names, for the data path. */
  readonly handOver: Pick<HandOver, "takeAway" | "keep">
  /** What the data path gives up that this process has not given up already: `guardRuntime`. */
  readonly guard: readonly Step[]
}

/** A session of its own, without terminal, and none of the caller's descriptors but those handed down. */
export function launchSteps({ pipes, hypervisor, helper, dataPath, handOver, guard }: LaunchPlan): Step[] {
  const { settings, report } = pipes
  const handedDown: (readonly [number | undefined, number])[] = [
    // First: its number may be one of those that are given to others.
    [hypervisor, DataPathDescriptor.hypervisor],
    [helper, DataPathDescriptor.helper],
  ]
  const pairs = handedDown.flatMap(([own, number]) => (own === undefined ? [] : [{ own, number }]))
  return [
    ...handOver.takeAway,
    ...pairs.map(({ own, number }) => duplicate(own, number)),
    duplicate(settings.readEnd, DataPathDescriptor.settings),
    duplicate(report.writeEnd, DataPathDescriptor.report),
    ...leaveStandardDescriptors,
    { kind: "closeOnExecFrom", first: DataPathDescriptor.helper },
    ...pairs.map(({ number }) => keepOpen(number)),
    ...handOver.keep,
    ...guard,
    { kind: "newSession" },
    executeRuntime(dataPath),
  ]
}

function duplicate(descriptor: number, number: number): Step {
  return { kind: "duplicate", descriptor, number }
}
