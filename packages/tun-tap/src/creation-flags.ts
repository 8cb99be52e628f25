import type { Arena } from "@demiflow/core"
import type { Native } from "@demiflow/sys"

// <linux/if_tun.h>
const IFF_TUN = 0x0001
const IFF_TAP = 0x0002
/** A full queue blocks the sender instead of dropping (Linux 7.3). */
const IFF_BACKPRESSURE = 0x0080
const IFF_NO_PI = 0x1000
const IFF_VNET_HDR = 0x4000
const IFF_TUN_EXCL = 0x8000
const TUNGETFEATURES = 0x800454cf

/** The kind of device to create. */
export interface DeviceKind {
  readonly isTap: boolean
  readonly offloads: boolean
  readonly exclusive: boolean
}

/**
 * The flags of TUNSETIFF for a device. Flags of newer kernels are set only if this kernel reports them: other kernels
 * ignore unknown flags, but don't promise to.
 *
 * @param descriptor of /dev/net/tun, opened
 * @param space four bytes of the arena
 */
export function creationFlags(
  native: Pick<Native, "ioctl">,
  arena: Arena,
  descriptor: number,
  space: number,
  { isTap, offloads, exclusive }: DeviceKind,
): number {
  const wanted =
    (isTap ? IFF_TAP : IFF_TUN) | IFF_NO_PI | (offloads ? IFF_VNET_HDR : 0) | (exclusive ? IFF_TUN_EXCL : 0)
  const result = native.ioctl(descriptor, TUNGETFEATURES, space)
  const features = result < 0 ? 0 : arena.view.getUint32(space, true)
  return wanted | (features & IFF_BACKPRESSURE)
}
