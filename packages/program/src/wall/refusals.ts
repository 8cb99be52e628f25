import type { Log } from "@demiflow/core"
import { checkResult, EpollEvent } from "@demiflow/sys"
import type { Machinery } from "../machinery.ts"

/** Numbers of system calls that are counted, from 0. The same as in `native/refusals.c`. */
const CALLS = 512

/** Logs each system call that the filter refuses by a signal, once. Throws a `SystemError`. */
export function reportRefusals({ native, arena, loop }: Machinery, log: Pick<Log, "warning">): void {
  const counts = arena.reserve(4 * CALLS, 4, "the sandbox")
  const scratch = arena.reserve(8, 8, "the sandbox")
  const event = checkResult(native.createEvent(0), "make an event")
  checkResult(native.catchRefusals(event, counts), "catch what is refused")
  const reported = new Set<number>()
  loop.watchDescriptor(event, EpollEvent.readable, () => {
    native.read(event, scratch, 8)
    for (let call = 0; call < CALLS; call++) {
      if (arena.words[(counts >> 2) + call] === 0 || reported.has(call)) continue
      reported.add(call)
      log.warning(`System call ${call} was refused: nothing here should make it. Please report it`)
    }
  })
}
