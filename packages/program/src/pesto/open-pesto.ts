import { readFileSync } from "node:fs"
import type { Configuration } from "@demiflow/config"
import type { Arena, Log } from "@demiflow/core"
import type { PortForwarding } from "@demiflow/flow"
import type { Native } from "@demiflow/sys"
import type { Machinery } from "../machinery.ts"
import { SpareDescriptors } from "../spare-descriptors.ts"
import { ForwardedPorts, type OnChanged } from "./forwarded-ports.ts"
import { ownUsers, type PestoListener, PestoSocket } from "./pesto-socket.ts"

export type { PestoListener, PestoSocket } from "./pesto-socket.ts"

/** For the user alone. */
const MODE = 0o600

/** Listens at a path; `leavesFile`: the file stays in the end, as nothing can be removed behind the wall. */
type ListenAt = (
  native: Native,
  arena: Arena,
  path: string,
  options: { mode: number; leavesFile: boolean },
) => PestoListener

/**
 * Opens the socket for pesto, if there is to be one. To be called before the change of user: the file is the caller's.
 */
export function openPesto(
  { native, arena, loop }: Machinery,
  configuration: Configuration,
  forwarding: PortForwarding,
  log: Log,
  listenAt: ListenAt,
  onChanged: OnChanged = () => {},
): PestoSocket | undefined {
  const { confPath } = configuration
  if (confPath === undefined) return undefined
  const ports = new ForwardedPorts(forwarding, configuration, new SpareDescriptors(native), onChanged)
  const users = ownUsers(process.geteuid?.() ?? 0, readFileSync("/proc/self/uid_map", "utf8"))
  const listener = listenAt(native, arena, confPath, { mode: MODE, leavesFile: true })
  return new PestoSocket({ native, arena, loop, log, users }, listener, ports)
}
