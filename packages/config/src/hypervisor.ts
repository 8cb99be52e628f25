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

/**
 * The capabilities of a back end for vhost-user, as JSON: `VHostUserBackendCapabilities` of QEMU's vhost-user.json, by
 * which programs that manage virtual machines choose a back end. Network back ends have no further properties there.
 */
export const BACK_END_CAPABILITIES: string = JSON.stringify({ type: "net" }, undefined, 2)

/** How to start QEMU with the socket at `path`, line by line. */
export function qemuHint(path: string, isVhostUser: boolean): string[] {
  // In QEMU's options a comma ends a value, and two of them stand for one.
  const escaped = path.replaceAll(",", ",,")
  if (isVhostUser) {
    return [
      "You can now start qemu, with the size of the guest's memory in place of SIZE:",
      "    kvm ... -object memory-backend-memfd,id=m,size=SIZE,share=on -machine memory-backend=m \\",
      `      -chardev socket,id=s,path=${escaped} -netdev vhost-user,id=n,chardev=s -device virtio-net-pci,netdev=n`,
    ]
  }
  return [
    "You can now start qemu (>= 7.2):",
    `    kvm ... -device virtio-net-pci,netdev=s -netdev stream,id=s,server=off,addr.type=unix,addr.path=${escaped}`,
  ]
}
