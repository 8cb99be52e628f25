/** How the data path comes into being, as a list of steps. */
import {
  type DataPathPipes,
  executeRuntime,
  type HandOver,
  keepOpen,
  keepStandardError,
  leaveStandardDescriptors,
  type Pipe,
  type RuntimeCommand,
} from "@demiflow/program/launch"
import type { Step } from "@demiflow/sys"

/** Numbers of the descriptors that the data path is started with. */
export const DataPathDescriptor = {
  /** To read `DataPathSettings` from, to its end. */
  settings: 3,
  /** To write `DataPathReport` lines to; in the background, until it is ready. */
  report: 4,
  /** To have the file system emptied, see `raiseWall`. */
  empty: 5,
  /** A pidfd of the process that does so; not there if it isn't possible. */
  helper: 6,
  /** The connection to the hypervisor, where the caller has handed one down. */
  hypervisor: 7,
} as const

/** What to start. */
export interface LaunchPlan {
  readonly pipes: DataPathPipes & { readonly empty: Pipe }
  /** The connection to the hypervisor, by its descriptor here; undefined: none is handed down. */
  readonly hypervisor: number | undefined
  /** True to leave the caller: nothing of theirs stays open, and nothing ends with them. */
  readonly isBackground: boolean
  /** The runtime and its arguments. */
  readonly dataPath: RuntimeCommand
  /** Descriptors that the user names, for the data path. */
  readonly handOver: Pick<HandOver, "takeAway" | "keep">
  /** What the data path gives up before it starts: `wallSteps`. */
  readonly wall: readonly Step[]
}

/** A session of its own, without terminal, and none of the caller's descriptors but those handed down, and standard error. */
export function launchSteps({ pipes, hypervisor, isBackground, dataPath, handOver, wall }: LaunchPlan): Step[] {
  const { settings, report, empty } = pipes
  return [
    ...handOver.takeAway,
    // First: its number may be one of those that are given to others.
    ...(hypervisor === undefined ? [] : [duplicate(hypervisor, DataPathDescriptor.hypervisor)]),
    duplicate(settings.readEnd, DataPathDescriptor.settings),
    duplicate(report.writeEnd, DataPathDescriptor.report),
    duplicate(empty.writeEnd, DataPathDescriptor.empty),
    ...(isBackground ? leaveStandardDescriptors : keepStandardError),
    { kind: "closeOnExecFrom", first: DataPathDescriptor.helper },
    ...(hypervisor === undefined ? [] : [keepOpen(DataPathDescriptor.hypervisor)]),
    ...handOver.keep,
    ...wall,
    { kind: "newSession" },
    executeRuntime(dataPath),
  ]
}

function duplicate(descriptor: number, number: number): Step {
  return { kind: "duplicate", descriptor, number }
}
