/**
 * Lists the ports bound in a network namespace: by netlink (sock_diag) or, where the kernel lacks it, from /proc.
 *
 * Socket and files belong to the namespace in which they were opened. They are opened once, so that nothing has to be
 * opened later, when privileges may be gone.
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

  /** @param namespace this process's own if absent */
  constructor(native: Native, arena: Arena, namespace: NetworkNamespace = new VisitedNamespace(native, arena)) {
    const socket = unlessRefused(() => new NetlinkSocket(native, arena, namespace, NetlinkProtocol.socketDiagnosis))
    // In the kernel, the diagnosis of each protocol is a module of its own.
    const open = (protocol: number) =>
      (socket && unlessRefused(() => new NetlinkPorts(socket, protocol))) ??
      new ProcPorts(native, arena, namespace, protocol)
    this.#socket = socket
    this.#tcp = open(IpProtocol.tcp)
    this.#udp = open(IpProtocol.udp)
  }

  /**
   * The ports of sockets that listen, or are bound and not connected, in no order. Ports of flows, this program's or
   * another's, are left out where the kernel distinguishes them (Linux 5.10).
   */
  of(protocol: number): Set<number> {
    return (protocol === IpProtocol.tcp ? this.#tcp : this.#udp).read()
  }

  /** For UDP, the ports of connected sockets at the last call of {@link BoundPorts.of}. */
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
