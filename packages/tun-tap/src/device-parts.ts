import type { Arena } from "@demiflow/core"
import type { Native } from "@demiflow/sys"

/** The parts of a `TunTapDevice`. */
export interface DeviceParts {
  readonly native: Native
  readonly arena: Arena
  /** Name of the network interface. */
  readonly name: string
  readonly descriptor: number
  /** True for TAP (Ethernet frames), false for TUN (IP packets). */
  readonly isTap: boolean
  /** Bytes of the virtio header before each frame, or 0. */
  readonly virtioHeaderBytes: number
  /** Bits of `Offload` that are in use. */
  readonly offloads: number
}
