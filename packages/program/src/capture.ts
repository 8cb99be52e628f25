import { constants, writeSync } from "node:fs"
import type { Link, Log } from "@demiflow/core"
import { PacketCapture } from "@demiflow/tap"
import { Quit } from "./messages.ts"
import { openOutputFile } from "./output-file.ts"

/**
 * Has all packets of the link written to a file, which is overwritten. Throws {@link Quit} if that can't be; if it can't any
 * more, the capture ends with a warning, and the packets go on.
 */
export function captureTo(path: string, link: Link, log: Pick<Log, "warning">): Link {
  const descriptor = openCapture(path)
  let isOver = false
  const sink = {
    write(bytes: Uint8Array): void {
      if (isOver) return
      try {
        for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at)
      } catch (error) {
        isOver = true
        log.warning(`The capture file ${path} ends early: ${(error as Error).message}`)
      }
    },
  }
  const clock = {
    get microseconds(): number {
      return Math.floor((performance.timeOrigin + performance.now()) * 1000)
    },
  }
  return new PacketCapture(link, sink, clock)
}

function openCapture(path: string): number {
  try {
    return openOutputFile(path, constants.O_WRONLY)
  } catch (error) {
    throw new Quit(`Can't write the capture file ${path}: ${(error as Error).message}`)
  }
}
