/**
 * The world behind the simulated host: servers, correspondents, routers and silence, as a test scripts them.
 *
 * Unless a test says otherwise, every unicast address exists: it refuses TCP connections, answers datagrams with "port
 * unreachable" and answers echo requests.
 */
import { Address, Demiflow, Interface } from "@demiflow/core"
import { type BytesLike, toBytes, toText } from "../bytes.ts"
import type { Leaving } from "./socket-marks.ts"
import type { ConnectOutcome, WorldConnection } from "./world-connection.ts"

/** An address as its class or as text, or any address. */
export type AddressLike = Address | string

/** An address as its class. */
export function toAddress(address: AddressLike): Address {
  return typeof address === "string" ? Address.parse(address) : address
}

/** A place to reach: a port at one address, or at every address. */
export interface WorldEndpoint {
  readonly address?: AddressLike
  readonly port: number
}

/** The properties of the path to an address, and of its host. */
export interface WorldRoute {
  /** The outcome of TCP connections; `accept` also needs a listener. */
  readonly tcp?: ConnectOutcome
  /** Nothing answers, nothing is reported. */
  readonly isSilent?: boolean
  /** A router reports that the address can't be reached. */
  readonly isUnreachable?: boolean
  /** The host has no route: calls fail at once. */
  readonly hasNoRoute?: boolean
  /** The routers of the path, nearest first: each decrements the hop limit. */
  readonly hops?: readonly AddressLike[]
  /** The smallest MTU of the path, bytes. */
  readonly mtu?: number
}

/** Options of a listener. */
export interface ListenOptions {
  /** Called for each connection that is accepted. */
  readonly onConnection?: (connection: WorldConnection) => void
  /** Capacity of each connection's receive buffer, payload bytes: the window that the host sees. */
  readonly receiveBuffer?: number
  /** Milliseconds that a connection waits to be accepted, beyond the round trip. */
  readonly acceptDelay?: number
}

/** An end in the world, or one of the host's. */
export type WorldEndLike = WorldEndpoint & { readonly address: AddressLike }

/** How a packet arrives at the host. */
export interface ArrivalOptions {
  /** The host's interface: the first by default, or `lo` for its loopback addresses. */
  readonly interfaceName?: string
  /** IPv4 type of service or IPv6 traffic class; 0 by default. */
  readonly trafficClass?: number
}

/** Options of a connection to the host. */
export interface WorldConnectOptions extends ArrivalOptions {
  /** Capacity of its receive buffer, payload bytes: the window that the host sees. 131,072 by default. */
  readonly receiveBuffer?: number
}

/** A listening server. */
export class WorldListener {
  readonly options: ListenOptions
  /** Every connection accepted so far. */
  readonly connections: WorldConnection[] = []
  readonly #close: () => void

  constructor(options: ListenOptions, close: () => void) {
    this.options = options
    this.#close = close
  }

  /** The connection accepted last. Throws if there is none. */
  get connection(): WorldConnection {
    const connection = this.connections.at(-1)
    if (connection === undefined) throw new Error("Nobody has connected to this listener yet")
    return connection
  }

  /** Refuses connections from now on. */
  close(): void {
    this.#close()
  }
}

/** A datagram as its receiver in the world sees it. */
export interface WorldDatagram {
  readonly bytes: Uint8Array
  /** The bytes, a character for each. */
  readonly text: string
  /** Where it was sent to. */
  readonly address: Address
  readonly port: number
  /** Where it came from. */
  readonly hostAddress: Address
  readonly hostPort: number
  /** Hop limit on arrival. */
  readonly hopLimit: number
  /** Traffic class. */
  readonly trafficClass: number
  /** Sends bytes back. */
  reply(content: BytesLike, options?: ArrivalOptions): void
}

interface Entry<Value> {
  readonly address: Address | undefined
  readonly port: number
  readonly value: Value
}

interface RouteEntry {
  readonly address: Address
  readonly prefixLength: number
  readonly route: WorldRoute
}

/** The host, as the world reaches it. `ends` is a side of the host: the world is its correspondent. */
export interface ReachableHost {
  /** Delivers a datagram to whichever socket takes it. */
  deliver(ends: Demiflow, bytes: Uint8Array, options: ArrivalOptions): void
  /** Begins a connection. */
  connect(ends: Demiflow, options: WorldConnectOptions): WorldConnection
}

/** The world. Reached as `host.world`. */
export class World {
  #listeners: Entry<WorldListener>[] = []
  #correspondents: Entry<(datagram: WorldDatagram) => void>[] = []
  readonly #routes: RouteEntry[] = []
  readonly #host: ReachableHost

  constructor(host: ReachableHost) {
    this.#host = host
  }

  /** Accepts TCP connections to a port (of one address, or of all). The second argument may be `onConnection` alone. */
  listen(
    where: number | WorldEndpoint,
    options: ListenOptions | ((connection: WorldConnection) => void) = {},
  ): WorldListener {
    const listener = new WorldListener(typeof options === "function" ? { onConnection: options } : options, () => {
      this.#listeners = this.#listeners.filter(({ value }) => value !== listener)
    })
    this.#listeners.unshift({ ...endpointOf(where), value: listener })
    return listener
  }

  /** Receives datagrams at a UDP port (of one address, or of all). Returns a function that closes the port. */
  receive(where: number | WorldEndpoint, onDatagram: (datagram: WorldDatagram) => void): () => void {
    const entry = { ...endpointOf(where), value: onDatagram }
    this.#correspondents.unshift(entry)
    return () => {
      this.#correspondents = this.#correspondents.filter((other) => other !== entry)
    }
  }

  /** Echoes the payload of datagrams to a UDP port. */
  echo(where: number | WorldEndpoint): () => void {
    return this.receive(where, (datagram) => datagram.reply(datagram.bytes))
  }

  /** Sends an unsolicited datagram to the host. The host's answers arrive at ports of {@link World.receive}. */
  send(from: WorldEndLike, to: WorldEndLike, content: BytesLike, options: ArrivalOptions = {}): void {
    this.#host.deliver(betweenEnds(from, to), toBytes(content).slice(), options)
  }

  /** Connects to a port of the host. The returned connection shows whether the host accepts. */
  connect(from: WorldEndLike, to: WorldEndLike, options: WorldConnectOptions = {}): WorldConnection {
    return this.#host.connect(betweenEnds(from, to), options)
  }

  /**
   * Sets the properties of the path to an address, or to all addresses of a prefix (`2001:db8::/32`). The last call
   * takes precedence.
   */
  route(where: AddressLike, route: WorldRoute): void {
    const [text, length] = typeof where === "string" ? where.split("/") : [where]
    const address = toAddress(text)
    const prefixLength = length === undefined ? (address.isV4 ? 32 : 128) : Number(length)
    this.#routes.unshift({ address, prefixLength, route })
  }

  /** The properties of the path to an address. */
  routeTo(address: Address): WorldRoute {
    return this.#routes.find((entry) => entry.address.sharesPrefix(address, entry.prefixLength))?.route ?? {}
  }

  /** The listener that accepts connections there; undefined if there is none. */
  listenerAt(address: Address, port: number): WorldListener | undefined {
    return find(this.#listeners, address, port)
  }

  /** The outcome of a connection to the demiflow's correspondent end. */
  outcome(demiflow: Demiflow): ConnectOutcome {
    const { correspondentAddress, correspondentPort } = demiflow
    const route = this.routeTo(correspondentAddress)
    if (route.hasNoRoute) return "noRoute"
    if (route.isUnreachable) return "unreachable"
    if (route.isSilent) return "silent"
    if (route.tcp !== undefined && route.tcp !== "accept") return route.tcp
    return this.listenerAt(correspondentAddress, correspondentPort) === undefined ? "refuse" : "accept"
  }

  /** Delivers a datagram to the receiver there; false if there is none. */
  arrive(demiflow: Demiflow, packet: Leaving): boolean {
    const address = demiflow.correspondentAddress.clone()
    const port = demiflow.correspondentPort
    const onDatagram = find(this.#correspondents, address, port)
    if (onDatagram === undefined) return false
    const hostAddress = demiflow.forwardingAddress.clone()
    const hostPort = demiflow.forwardingPort
    const reply = (content: BytesLike, options?: ArrivalOptions) =>
      this.send({ address, port }, { address: hostAddress, port: hostPort }, content, options)
    onDatagram({ ...packet, text: toText(packet.bytes), address, port, hostAddress, hostPort, reply })
    return true
  }
}

/** A side of the host. */
export function betweenEnds(world: WorldEndLike, host: WorldEndLike): Demiflow {
  return Demiflow.of(Interface.host, toAddress(host.address), host.port, toAddress(world.address), world.port)
}

function endpointOf(where: number | WorldEndpoint): { address: Address | undefined; port: number } {
  if (typeof where === "number") return { address: undefined, port: where }
  return { address: where.address === undefined ? undefined : toAddress(where.address), port: where.port }
}

function find<Value>(entries: readonly Entry<Value>[], address: Address, port: number): Value | undefined {
  return entries.find((entry) => entry.port === port && (entry.address?.equals(address) ?? true))?.value
}
