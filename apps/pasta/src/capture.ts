import { openSync, writeSync } from "node:fs"
import type { Link } from "@demiflow/core"
import { PacketCapture } from "@demiflow/tap"
import { Quit } from "./messages.ts"

/** Only for who captures: packets are nobody else's business. */
const CAPTURE_MODE = 0o600

/** Has all packets of the link written to a file, which is overwritten. Throws {@link Quit} if that can't be. */
export function captureTo(path: string, link: Link): Link {
  const descriptor = openCapture(path)
  const sink = {
    write(bytes: Uint8Array): void {
      for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at)
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
    return openSync(path, "w", CAPTURE_MODE)
  } catch (error) {
    throw new Quit(`Can't write the capture file ${path}: ${(error as Error).message}`)
  }
}
