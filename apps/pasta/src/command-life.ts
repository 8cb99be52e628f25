import type { Machinery } from "@demiflow/program/data-path"
import { EpollEvent, parseWaitStatus, shellStatus } from "@demiflow/sys"
import { DataPathDescriptor } from "./descriptors.ts"

const WNOHANG = 1

/**
 * Waits for the end of the command, whose init is a child of this process.
 *
 * @param onEnd called with its status, as shells report it
 */
export function watchCommand({ native, arena, loop }: Machinery, init: number, onEnd: (status: number) => void): void {
  const statusOffset = arena.reserve(4, 4, "the command's life")
  loop.watchDescriptor(DataPathDescriptor.process, EpollEvent.readable, () => {
    if (native.waitPid(init, WNOHANG, statusOffset) === 0) return
    loop.unwatch(DataPathDescriptor.process)
    onEnd(shellStatus(parseWaitStatus(arena.words[statusOffset >> 2])))
  })
}
