/** The two ends of a gateway, and what they cost: a link, and sockets on its arena. */
import { Arena, type OwnAddresses, type Sockets, silentLog } from "@demiflow/core"
import { optionError } from "./gateway-error.ts"
import type { Resolver } from "./name-servers.ts"
import type { GatewayLink, GatewayLoop, GatewayOptions } from "./options.ts"
import type { Settings } from "./settings.ts"
import { acquireHost, loadNodeSockets, loadSys, releaseHost, type Sys } from "./thread-host.ts"

const PART_UNIT = 64
/** For questions to the kernel about the host's addresses. */
const ADDRESSES_BYTES = 80 << 10

/** Which sockets a gateway uses: those of `@demiflow/sys`, those of `@demiflow/node-sockets`, or what it was passed. */
export type SocketsKind = "sys" | "node" | "given"

/** The ends of a gateway, until they are closed. */
export interface Ends {
  readonly kind: SocketsKind
  readonly link: GatewayLink
  readonly sockets: Sockets
  readonly loop: GatewayLoop
  /** The host's own addresses; undefined if the host is open to the guest. */
  readonly closedHost: OwnAddresses | undefined
  /** Closes a link that was made, and gives back memory and loop. */
  close(): void
}

/**
 * Opens the ends. Throws a `GatewayError`, `ArenaExhaustedError`, and whatever the function throws that makes the link.
 *
 * @param bytes of the arena for everything but the link
 */
export async function openEnds(
  options: GatewayOptions,
  bytes: number,
  { linkBytes, nameService }: Pick<Settings, "linkBytes" | "nameService">,
): Promise<Ends> {
  const { link, sockets, loop } = options
  if (sockets !== undefined && loop !== undefined) {
    const closedHost = chosenAddresses(options)
    if (options.closedHost === true) {
      throw optionError("closedHost is true: sockets that are passed need an object that knows the host's addresses")
    }
    const place = new LinkPlace(link, sockets.arena, bytes + linkBytes)
    return { kind: "given", link: place.link, sockets, loop, closedHost, close: () => place.close() }
  }
  const sys = await sysUnlessNode(options)
  const resolver = nameService.v6
  const open = sys === undefined ? nodeEnds : sysEnds.bind(undefined, sys)
  return open(options, bytes + linkBytes, resolver)
}

/** Undefined: the sockets are to be those of Node.js. */
async function sysUnlessNode({ socketsKind }: GatewayOptions): Promise<Sys | undefined> {
  if (socketsKind === "node") return undefined
  try {
    return await loadSys()
  } catch (error) {
    if (socketsKind === "sys") throw error
    return undefined
  }
}

/** Addresses that the caller's object knows. */
function chosenAddresses({ closedHost }: GatewayOptions): OwnAddresses | undefined {
  return typeof closedHost === "object" ? closedHost : undefined
}

function openAddresses(addresses: new () => OwnAddresses): OwnAddresses {
  try {
    return new addresses()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw optionError(
      `closedHost is true, and the host's addresses can't be read (${reason}): pass an object that knows them`,
      { cause },
    )
  }
}

async function nodeEnds(options: GatewayOptions, bytes: number, resolver: Resolver | undefined): Promise<Ends> {
  const { NodeLoop, NodeSockets, NodeOwnAddresses } = await loadNodeSockets()
  const closedHost = options.closedHost === true ? openAddresses(NodeOwnAddresses) : chosenAddresses(options)
  const { link } = options
  const arena = typeof link === "function" ? new Arena(ceilToPart(bytes + 2 * PART_UNIT)) : link.arena
  const place = new LinkPlace(link, arena, bytes)
  const loop = new NodeLoop()
  const { address, zone } = resolver ?? {}
  const zonedAddress = address !== undefined && zone !== undefined ? { address, zone: zone.name } : undefined
  const sockets = new NodeSockets(arena, loop, { ...(zonedAddress && { zonedAddress }) })
  return { kind: "node", link: place.link, sockets, loop, closedHost, close: () => place.close() }
}

function sysEnds(sys: Sys, options: GatewayOptions, bytes: number, resolver: Resolver | undefined): Ends {
  const { link, log = silentLog } = options
  const isClosed = options.closedHost === true
  const host = acquireHost(sys, typeof link === "function" ? undefined : link.arena)
  const cleanUp = [() => releaseHost(host)]
  const close = (): void => {
    const step = cleanUp.pop()
    if (step === undefined) return
    try {
      step()
    } finally {
      close()
    }
  }
  try {
    const socketBytes = sys.LINUX_SOCKETS_ARENA_BYTES + (isClosed ? ADDRESSES_BYTES : 0)
    const place = new LinkPlace(link, host.arena, bytes + socketBytes)
    cleanUp.push(() => place.close())
    const { arena } = place.link
    const part = arena.part(ceilToPart(socketBytes), "the sockets of a gateway")
    cleanUp.push(() => arena.giveBack(part))
    const { address, zone } = resolver ?? {}
    const scopedAddress = address !== undefined && zone !== undefined ? { address, scope: zone.index } : undefined
    const linux = new sys.LinuxSockets(host.native, part, host.loop, {
      shares: host.shares,
      ...(scopedAddress && { scopedAddress }),
    })
    let closedHost = chosenAddresses(options)
    if (isClosed) {
      const addresses = new sys.HostAddresses(host.native, part, { warn: (message) => log.warning(message) })
      cleanUp.push(() => addresses.close())
      closedHost = addresses
    }
    return { kind: "sys", link: place.link, sockets: linux, loop: host.loop, closedHost, close }
  } catch (error) {
    close()
    throw error
  }
}

/** The size of a part of an arena: a multiple of 64. */
function ceilToPart(bytes: number): number {
  return Math.ceil(bytes / PART_UNIT) * PART_UNIT
}

/** A link and its place in the arena. */
class LinkPlace {
  readonly link: GatewayLink
  readonly #whole: Arena
  readonly #part: Arena | undefined

  constructor(link: GatewayOptions["link"], arena: Arena, bytes: number) {
    this.#whole = arena
    this.#part = typeof link === "function" ? arena.part(ceilToPart(bytes + PART_UNIT), "a gateway") : undefined
    try {
      this.link = typeof link === "function" ? link(this.#part ?? arena) : link
      if (this.link?.arena?.buffer !== arena.buffer) throw this.#mismatch()
    } catch (error) {
      this.#giveBack()
      throw error
    }
  }

  close(): void {
    if (this.#part === undefined) return
    try {
      this.link.close()
    } finally {
      this.#giveBack()
    }
  }

  #giveBack(): void {
    if (this.#part !== undefined) this.#whole.giveBack(this.#part)
  }

  #mismatch(): Error {
    return optionError(
      this.#part === undefined
        ? "link is on another arena than the sockets: pass a function that makes it on the arena it is passed"
        : "link must return a link on the arena that it is passed",
    )
  }
}
