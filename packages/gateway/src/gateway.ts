/**
 * A network for a guest behind any link: the protocols, their addresses and the policy, on sockets of the host.
 *
 * The assembly is `createStack`'s. What a gateway adds: defaults that belong together, sockets and a loop where none
 * are passed, and an end that gives everything back.
 */
import { CryptoRandom, Drops, ETHERNET_MTU, type Observer, silentLog } from "@demiflow/core"
import { FixedFlowTable } from "@demiflow/flow"
import { createStack, type RunningStack, stackArenaBytes } from "@demiflow/stack"
import { type Ends, openEnds, type SocketsKind } from "./ends.ts"
import { FlowList, type GatewayFlow } from "./flow-list.ts"
import { type ForwardedPort, ForwardedPorts, type ForwardOptions } from "./forwarded-ports.ts"
import { GatewayError } from "./gateway-error.ts"
import { type Network, resolveV4, resolveV6 } from "./networks.ts"
import type { GatewayLink, GatewayOptions, GatewaySizes } from "./options.ts"
import { gatewayPlugins, gatewayPolicy } from "./protocols.ts"
import { mtuOn, resolveSettings, resolveSizes, type Settings } from "./settings.ts"

/** Nobody reports the host's neighbours: the table is as small as it can be. */
const NO_NEIGHBOURS = 8
/** A guest at rest has a few flows. The table doubles when there are more. */
const INITIAL_FLOWS = 32

/** A guest's network, until it is closed. */
export interface Gateway extends Disposable {
  /** The guest's end. */
  readonly link: GatewayLink
  /** Which sockets are used: see {@link GatewayOptions.socketsKind}, or those that were given. */
  readonly socketsKind: SocketsKind
  /** Addresses on the guest's link; undefined for a version of IP that is off. */
  readonly v4: Network | undefined
  readonly v6: Network | undefined
  /** The flows that are live. Each iteration lists them anew, with what they have carried so far. */
  readonly flows: Iterable<GatewayFlow> & { readonly size: number }
  /** Packets that were dropped, by reason. */
  readonly drops: Drops
  /** False once the gateway is closed. */
  readonly isOpen: boolean
  /** Adds an observer of flows and drops. Returns a function that removes it. */
  observe(observer: Observer): () => void
  /**
   * Opens a port of the host that leads to the guest. Throws a {@link GatewayError}: `ERR_GATEWAY_OPTION`,
   * `ERR_GATEWAY_PORT` for a port that can't be opened, or `ERR_GATEWAY_CLOSED`.
   */
  forward(port: ForwardOptions): ForwardedPort
  /** Reports that frames wait, for a link that doesn't. */
  framesWait(): void
  /** Ends all flows, closes all ports, and gives back memory, sockets and loop. Later calls do nothing. */
  close(): void
}

/**
 * Gives a guest a network: DHCP, router advertisements, name service, and connections by sockets of the host.
 *
 * Throws a {@link GatewayError} with the code `ERR_GATEWAY_OPTION`, `ERR_GATEWAY_PORT`, or `ERR_GATEWAY_SOCKETS` where
 * there are no sockets; and `ArenaExhaustedError` if there are too many gateways for the arena.
 */
export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const settings = resolveSettings(options)
  const ends = await openEnds(options, stackBytes(settings), settings)
  try {
    return new RunningGateway(options, { ...settings, mtu: mtuOn(ends.link, settings) }, ends)
  } catch (error) {
    ends.close()
    throw error
  }
}

/** Bytes of the arena that a gateway takes, besides its link and sockets. */
export function gatewayArenaBytes(options: GatewaySizes = {}): number {
  const nameService = { v4: undefined, v6: undefined, searchDomains: [] }
  const networks = { v4: resolveV4({}), v6: resolveV6({}) }
  return stackBytes({ ...resolveSizes(options), ...networks, mtu: undefined, nameService })
}

function stackBytes(settings: Settings): number {
  return stackArenaBytes({ ...settings, plugins: gatewayPlugins(settings) })
}

class RunningGateway implements Gateway {
  readonly link: GatewayLink
  readonly socketsKind: SocketsKind
  readonly v4: Network | undefined
  readonly v6: Network | undefined
  readonly flows: FlowList
  readonly drops: Drops
  readonly #ends: Ends
  readonly #running: RunningStack
  readonly #ports: ForwardedPorts
  #isOpen = true

  constructor(options: GatewayOptions, settings: Settings, ends: Ends) {
    const { v4, v6, mtu, mostFlows, transmitBytes, reassemblySlots } = settings
    const { link, sockets, loop } = ends
    const { onLinkEnd, log = silentLog, random = new CryptoRandom(), drops = new Drops(), clock } = options
    this.link = link
    this.socketsKind = ends.kind
    this.v4 = v4
    this.v6 = v6
    this.drops = drops
    this.#ends = ends
    this.#running = createStack({
      link,
      linkDescriptor: "onReadable" in link ? undefined : link.descriptor,
      sockets,
      loop,
      log,
      random,
      drops,
      transmitBytes,
      reassemblySlots,
      ...(clock && { clock }),
      ...(mtu !== undefined && { mtu }),
      unaskedMtu: ETHERNET_MTU,
      mostHostNeighbours: NO_NEIGHBOURS,
      flows: new FixedFlowTable({ random, drops, capacity: mostFlows, initialPlaces: INITIAL_FLOWS }),
      forwarding: gatewayPolicy(settings, drops, ends.closedHost),
      plugins: gatewayPlugins(settings),
      ...(v4 && { guestV4: v4.guest, guestV4PrefixLength: v4.prefixLength }),
      ...(v6 && { guestV6: v6.guest, guestV6PrefixLength: v6.prefixLength }),
      onLinkError: (errno) => {
        this.close()
        onLinkEnd?.(errno)
      },
    })
    const { stack } = this.#running
    this.flows = new FlowList(stack)
    this.#ports = new ForwardedPorts(stack)
    try {
      stack.observe(this.flows)
      for (const observer of options.observers ?? []) this.observe(observer)
      for (const port of options.forward ?? []) this.forward(port)
    } catch (error) {
      this.#running.close()
      throw error
    }
    if ("onReadable" in link) link.onReadable = () => this.framesWait()
    if ("onResume" in link) link.onResume = () => this.#resume()
    // Frames may have come before the gateway.
    this.framesWait()
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  observe(observer: Observer): () => void {
    this.#checkOpen()
    const { stack } = this.#running
    // What an observer does by promises happens when the runtime has its turn.
    const requestTurn = (): void => this.#ends.loop.requestTurn?.()
    const waker: Observer = { opened: requestTurn, changed: requestTurn, closed: requestTurn, refused: requestTurn }
    const removals = [stack.observe(waker), stack.observe(observer)]
    return () => {
      for (const remove of removals.splice(0)) remove()
    }
  }

  forward(port: ForwardOptions): ForwardedPort {
    this.#checkOpen()
    return this.#ports.add(port)
  }

  framesWait(): void {
    if (!this.#isOpen) return
    this.#running.framesWait()
    this.#ends.loop.wake?.()
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    const { link } = this
    if ("onReadable" in link) link.onReadable = undefined
    if ("onResume" in link) link.onResume = undefined
    try {
      this.#running.close()
    } finally {
      this.#ends.close()
    }
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #resume(): void {
    if (!this.#isOpen) return
    this.#running.stack.resume()
    this.#ends.loop.wake?.()
  }

  #checkOpen(): void {
    if (!this.#isOpen) throw new GatewayError("ERR_GATEWAY_CLOSED", "The gateway is closed: create another one")
  }
}
