/**
 * Which ports are bound in a network namespace: as the kernel says over netlink or, where it doesn't, in files of /proc.
 *
 * Socket and files belong to the namespace in which they were opened. They are opened once, and nothing has to be opened
 * later, when privileges may be gone.
 */
import { type Arena, IpProtocol } from "@demiflow/core"
import { SystemError } from "./errno.ts"
import { type NetworkNamespace, VisitedNamespace } from "./namespace/network-namespace.ts"
import type { Native } from "./native.ts"
import { NetlinkProtocol } from "./netlink/constants.ts"
import { NetlinkSocket } from "./netlink/socket.ts"
import { NetlinkPorts } from "./netlink-ports.ts"
import { ProcPorts } from "./proc-ports.ts"

/** The ports of one namespace. */
export class BoundPorts {
  readonly #socket: NetlinkSocket | undefined
  readonly #tcp: NetlinkPorts | ProcPorts
  readonly #udp: NetlinkPorts | ProcPorts

  /** @param namespace absent: the one that this process is in */
  constructor(native: Native, arena: Arena, namespace: NetworkNamespace = new VisitedNamespace(native, arena)) {
    const socket = unlessRefused(() => new NetlinkSocket(native, arena, namespace, NetlinkProtocol.socketDiagnosis))
    // Each protocol is a module of its own in the kernel.
    const open = (protocol: number) =>
      (socket && unlessRefused(() => new NetlinkPorts(socket, protocol))) ??
      new ProcPorts(native, arena, namespace, protocol)
    this.#socket = socket
    this.#tcp = open(IpProtocol.tcp)
    this.#udp = open(IpProtocol.udp)
  }

  /**
   * The ports at which somebody listens, or that are bound and not connected; in no order. Ports of flows, of this program or
   * another one, are no such ports, where the kernel tells them apart (Linux 5.10).
   */
  of(protocol: number): Set<number> {
    return (protocol === IpProtocol.tcp ? this.#tcp : this.#udp).read()
  }

  /** Of UDP, the ports that connected sockets had when {@link BoundPorts.of} was called last. */
  connected(protocol: number): ReadonlySet<number> {
    return (protocol === IpProtocol.tcp ? this.#tcp : this.#udp).connected
  }

  close(): void {
    this.#socket?.close()
    for (const ports of [this.#tcp, this.#udp]) if (ports instanceof ProcPorts) ports.close()
  }
}

/** Undefined if a system call fails on the way. */
function unlessRefused<Made>(make: () => Made): Made | undefined {
  try {
    return make()
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
