import type { Arena, LocalPath, Pipes, Sockets } from "@demiflow/core"
import type { DescriptorShares } from "./descriptor-shares.ts"
import type { EventLoop } from "./event-loop.ts"
import { LINUX_SOCKETS_ARENA_BYTES, LinuxSockets } from "./linux-sockets.ts"
import type { NetworkNamespace } from "./namespace/network-namespace.ts"
import { NamespaceSockets } from "./namespace/sockets.ts"
import type { Native } from "./native.ts"
import { LinuxPipes } from "./pipes.ts"

/** Arena bytes that a {@link LinuxLocalPath} needs at most. */
export const LINUX_LOCAL_PATH_ARENA_BYTES: number = LINUX_SOCKETS_ARENA_BYTES + 16_384

/**
 * The local path by the Linux kernel: sockets inside a network namespace, and pipes between them and sockets outside.
 */
export class LinuxLocalPath implements LocalPath {
  readonly sockets: Sockets
  readonly pipes: Pipes
  readonly #sockets: NamespaceSockets

  /**
   * @param loop delivers events of sockets inside, as of all others
   * @param shares those of the process, which the host outside uses too
   * @param linkLocalInterface name of the interface inside with the link-local IPv6 addresses; without it, link-local
   * addresses of the namespace itself can't be reached
   */
  constructor(
    native: Native,
    arena: Arena,
    loop: EventLoop,
    shares: DescriptorShares,
    namespace: NetworkNamespace,
    linkLocalInterface?: string | undefined,
  ) {
    this.#sockets = new NamespaceSockets(native, arena, namespace)
    const linkLocalScope = linkLocalInterface === undefined ? 0 : this.#sockets.interfaceIndex(linkLocalInterface)
    this.sockets = new LinuxSockets(native, arena, loop, { sockets: this.#sockets, shares, linkLocalScope })
    this.pipes = new LinuxPipes(native, arena, shares)
  }

  /** Stops opening sockets inside. Open sockets and pipes remain with their users. */
  close(): void {
    this.#sockets.close()
  }
}
