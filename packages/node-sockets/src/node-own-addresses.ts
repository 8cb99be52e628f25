import { networkInterfaces, platform } from "node:os"
import { type Address, AddressRangeSet, type OwnAddresses } from "@demiflow/core"
import { readKernelRanges } from "./kernel-routes.ts"
import { withoutZone } from "./node-address.ts"

/** How long the addresses are taken for the host's, milliseconds: a guest must not have files read for each flow. */
const KEPT_MILLISECONDS = 1_000

/**
 * The host's own addresses, for a gateway that denies them to its guest. A change counts within a second.
 *
 * On Linux, all to which the kernel delivers: by its tables of routes below `/proc/thread-self/net`. Elsewhere, those
 * of interfaces that are up and connected. Others don't report their addresses to the runtime, and a system may still
 * deliver to these.
 */
export class NodeOwnAddresses implements OwnAddresses {
  #ranges: AddressRangeSet
  #readAt: number

  /** Throws the error of the file system, such as `EACCES`, where Linux doesn't let its tables be read. */
  constructor() {
    this.#ranges = readRanges()
    this.#readAt = performance.now()
  }

  /** True also if the tables can no longer be read. */
  isOwn(address: Readonly<Address>): boolean {
    if (address.isUnspecified || address.isLoopback || address.isMulticast) return true
    const now = performance.now()
    if (now - this.#readAt >= KEPT_MILLISECONDS) {
      this.#readAt = now
      this.#ranges = rangesOrAll()
    }
    return this.#ranges.contains(address)
  }
}

function rangesOrAll(): AddressRangeSet {
  try {
    return readRanges()
  } catch {
    return new AddressRangeSet(["0.0.0.0/0", "::/0"])
  }
}

function readRanges(): AddressRangeSet {
  // Android has the kernel, and hides its tables from most programs.
  if (platform() === "linux" || platform() === "android") return new AddressRangeSet(readKernelRanges())
  const addresses = Object.values(networkInterfaces()).flatMap((list = []) => list.map(({ address }) => address))
  return new AddressRangeSet(addresses.map(withoutZone))
}
