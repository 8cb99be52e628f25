/** The list of steps that starts the data path. */
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
  /** `DataPathSettings` are read from here, up to the end. */
  settings: 3,
  /** `DataPathReport` lines are written here, until it is ready. */
  report: 4,
  /** Has the file system emptied, see `WallHelper`; not open if that isn't possible. */
  helper: 5,
  /** The connection to the hypervisor, if the caller has passed one. */
  hypervisor: 6,
} as const

/** What to start. */
export interface LaunchPlan {
  readonly pipes: DataPathPipes
  /** Our descriptor of the connection to the hypervisor; undefined if none was passed. */
  readonly hypervisor: number | undefined
  /** Our descriptor of the connection to the helper that empties the file system; undefined if there is none. */
  readonly helper: number | undefined
  /** The runtime and its arguments. */
  readonly dataPath: RuntimeCommand
  /** Descriptors that the user's options name, for the data path. */
  readonly handOver: Pick<HandOver, "takeAway" | "keep">
  /** Privileges that the data path gives up and this process hasn't already: `guardRuntime`. */
  readonly guard: readonly Step[]
}

/** A session of its own, without terminal, and none of the caller's descriptors but those passed on. */
export function launchSteps({ pipes, hypervisor, helper, dataPath, handOver, guard }: LaunchPlan): Step[] {
  const { settings, report } = pipes
  const handedDown: (readonly [number | undefined, number])[] = [
    // First: its number may be one that is assigned to others below.
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
