/** passt's messages about the hypervisor. */

const FIRST_SOCKET = 1
const LAST_SOCKET = 64

/** The default socket paths: passt listens at the first one that no process listens at. */
export function defaultSocketPaths(): string[] {
  return Array.from(
    { length: LAST_SOCKET - FIRST_SOCKET + 1 },
    (_, index) => `/tmp/passt_${FIRST_SOCKET + index}.socket`,
  )
}

/** How to start QEMU with the socket at `path`, line by line. */
export function qemuHint(path: string): string[] {
  // In QEMU's options a comma ends a value, and two of them stand for one.
  const escaped = path.replaceAll(",", ",,")
  return [
    "You can now start qemu (>= 7.2):",
    `    kvm ... -device virtio-net-pci,netdev=s -netdev stream,id=s,server=off,addr.type=unix,addr.path=${escaped}`,
  ]
}
