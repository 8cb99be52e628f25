import type { Arena, Clock, Drops, Link, Log, Loop, Observer, OwnAddresses, Random, Sockets } from "@demiflow/core"
import type { ForwardOptions } from "./forwarded-ports.ts"
import type { NameServerOption } from "./name-servers.ts"
import type { NetworkOptions } from "./networks.ts"

/** A link, with what a gateway uses to hear of its frames. All links of demiflow fit. */
export interface GatewayLink extends Link {
  /** The gateway sets it, and expects a call when a frame arrives and none was waiting. */
  onReadable?: (() => void) | undefined
  /** The gateway sets it, and expects a call when the link is no longer congested. */
  onResume?: (() => void) | undefined
  /** Readable while frames wait; used if there is no {@link GatewayLink.onReadable}. */
  readonly descriptor?: number
}

/** A loop that other code may wake. */
export interface GatewayLoop extends Loop {
  /** Has a turn come soon, because frames wait. Absent: each turn of the runtime is followed by one. */
  wake?(): void
}

/** Options of a gateway. Only the link is needed. */
export interface GatewayOptions extends GatewaySizes {
  /**
   * The guest's end: a link, or a function that makes one on the arena that it is passed. The gateway closes a link
   * that it had made, and gives its memory back. A link that exists already has to be on the arena of the sockets,
   * which for those of `@demiflow/sys` is the arena of the thread, with room for `gatewayArenaBytes`.
   */
  readonly link: GatewayLink | ((arena: Arena) => GatewayLink)
  /** Addresses of IPv4: 10.0.2.0/24 if not given; false: no IPv4. */
  readonly v4?: NetworkOptions | false
  /** Addresses of IPv6: fd9a:559a:559a:2::/64 if not given; false: no IPv6. */
  readonly v6?: NetworkOptions | false
  /** Largest IP packet for the guest, 576–65,535 bytes, and 1,280 at least with IPv6; the link's if not given. */
  readonly mtu?: number
  /** Name servers that answer the guest; the first of each version counts. Those of the host if not given. */
  readonly nameServers?: readonly NameServerOption[]
  /** Domains in which the guest searches names; the host's, or none with `nameServers`, if not given. */
  readonly searchDomains?: readonly string[]
  /**
   * True to deny the guest the host: the host's loopback and all other addresses of the host's own, link-local
   * addresses and groups. The resolver still answers at the guest's name server. Sockets that are passed need the
   * host's addresses with them. False if not given.
   *
   * The kernel decides what the host's own are; with the sockets of `@demiflow/node-sockets`, by its tables as they
   * were up to a second ago. Where Linux hides these, true is an error. On other systems, the runtime lists only the
   * addresses of interfaces that are up and connected: a guest may reach the host by those of others. Pass an object
   * that knows them, if there are any.
   */
  readonly closedHost?: boolean | OwnAddresses
  /** Ports of the host that lead to the guest from the start; see `Gateway.forward` for others. */
  readonly forward?: readonly ForwardOptions[]
  /** The first observers; see `Gateway.observe` for others. */
  readonly observers?: readonly Observer[]
  /** Called once when the link has ended, with a positive error number. The gateway has closed then. */
  readonly onLinkEnd?: (errno: number) => void
  /** Silent if not given. */
  readonly log?: Log
  /** The loop's if not given. */
  readonly clock?: Clock
  /** The runtime's cryptographic random numbers if not given. */
  readonly random?: Random
  /** Where drops are counted, also by the link; an instance of the gateway's own if not given. */
  readonly drops?: Drops
  /**
   * `sys` for those of `@demiflow/sys` only, and an error where they can't be used; `node` for those of
   * `@demiflow/node-sockets`. If not given: the former where they can be used, else the latter.
   */
  readonly socketsKind?: "sys" | "node"
  /**
   * Sockets of the host for this gateway alone, with the loop that delivers their events. If not given, see
   * {@link GatewayOptions.socketsKind}. The caller closes them.
   */
  readonly sockets?: Sockets
  /** The loop of {@link GatewayOptions.sockets}; needed with these, and only with these. */
  readonly loop?: GatewayLoop
}

/** How much memory a gateway may use. Of what isn't used, the system provides only addresses. */
export interface GatewaySizes {
  /** Flows at a time, 1 or more; 1,024 if not given. */
  readonly mostFlows?: number
  /** Bytes of the guest's payload that sockets didn't take at once, over all connections; 1 MiB if not given. */
  readonly holdBytes?: number
  /** Bytes of packets to the guest in one turn; 512 KiB if not given. */
  readonly transmitBytes?: number
  /** Datagrams whose fragments may be waiting, 64 KiB each; 4 if not given. */
  readonly reassemblySlots?: number
  /** Bytes of the arena for a link that the gateway has made; 3 MiB if not given. */
  readonly linkBytes?: number
}
