import type { Arena, Host, LocalPath, Pipes } from "@demiflow/core"
import type { DescriptorShares } from "./descriptor-shares.ts"
import type { EventLoop } from "./event-loop.ts"
import { LINUX_HOST_ARENA_BYTES, LinuxHost } from "./linux-host.ts"
import type { NetworkNamespace } from "./namespace/network-namespace.ts"
import { NamespaceSockets } from "./namespace/sockets.ts"
import type { Native } from "./native.ts"
import { LinuxPipes } from "./pipes.ts"

/** Arena bytes that a {@link LinuxLocalPath} takes at most. */
export const LINUX_LOCAL_PATH_ARENA_BYTES: number = LINUX_HOST_ARENA_BYTES + 16_384

/** The local path by the Linux kernel: sockets inside a network namespace, and pipes from and to them. */
export class LinuxLocalPath implements LocalPath {
  readonly host: Host
  readonly pipes: Pipes
  readonly #sockets: NamespaceSockets

  /**
   * @param loop its hooks are told of events inside as of all others
   * @param shares those of the process, of which the host outside has them too
   * @param linkLocalInterface name of the interface inside on which link-local IPv6 addresses are: those of the namespace
   *   itself can't be reached without; absent: there is none
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
    this.host = new LinuxHost(native, arena, loop, { sockets: this.#sockets, shares, linkLocalScope })
    this.pipes = new LinuxPipes(native, arena, shares)
  }

  /** No further sockets can be opened inside. Those that are open, and pipes, remain their users'. */
  close(): void {
    this.#sockets.close()
  }
}
