/**
 * The zones of link-local IPv6 addresses (RFC 4007): names of interfaces for the runtime, and on Windows their indices;
 * indices for `Sockets`.
 */
import { networkInterfaces } from "node:os"
import { Address } from "@demiflow/core"
import { readAddress } from "./node-address.ts"

/** How long the interfaces are taken to be as they were, milliseconds: not each flow of a guest has them read. */
const KEPT_MILLISECONDS = 1_000

/** A link-local address and the name of its interface. */
export interface ZonedAddress {
  readonly address: Readonly<Address>
  readonly zone: string
}

/** An address as the runtime takes it. */
export function textOf(address: Readonly<Address>, zone: string | undefined): string {
  return zone === undefined ? address.toString() : `${address}%${zone}`
}

/**
 * A link-local address of the host, with the zone as the runtime writes it, and the name and index of the interface.
 */
interface OwnAddress extends ZonedAddress {
  readonly name: string
  readonly scope: number
}

export class Zones {
  readonly #usual: string | undefined
  readonly #exception: ZonedAddress | undefined
  #own: readonly OwnAddress[] = []
  #readAt = Number.NEGATIVE_INFINITY

  /**
   * @param usual name of the interface of link-local addresses without another zone; if absent, the only one that has
   *   any
   * @param exception an address that is on another interface, with the name of that
   */
  constructor(usual?: string, exception?: ZonedAddress) {
    this.#usual = usual
    this.#exception = exception
  }

  /** The zone of an address; undefined if it has none, or if it isn't known. */
  of(address: Readonly<Address>, scope: number): string | undefined {
    if (address.isV4 || !address.isLinkLocal) return undefined
    if (scope !== 0) return this.#interfaces.find((each) => each.scope === scope)?.zone
    if (this.#exception?.address.equals(address as Address)) return this.#zoneOf(this.#exception.zone)
    return this.#usualZone
  }

  /** The zone of an address of the host's own. */
  ofOwn(address: Readonly<Address>): string | undefined {
    if (address.isV4 || !address.isLinkLocal) return undefined
    return this.#interfaces.find((each) => each.address.equals(address as Address))?.zone
  }

  /** The scope of a sender as the runtime writes it, with its zone; 0 if that is the usual one. */
  scopeIn(text: string, sender: Readonly<Address>): number {
    const zone = text.slice(text.indexOf("%") + 1)
    if (zone === text || zone === this.of(sender, 0)) return 0
    return this.#interfaces.find((each) => each.zone === zone)?.scope ?? 0
  }

  get #usualZone(): string | undefined {
    if (this.#usual !== undefined) return this.#zoneOf(this.#usual)
    const [first, ...others] = new Set(this.#interfaces.map(({ zone }) => zone))
    return others.length === 0 ? first : undefined
  }

  #zoneOf(name: string): string {
    return this.#interfaces.find((each) => each.name === name)?.zone ?? name
  }

  /** Link-local addresses of the host. */
  get #interfaces(): readonly OwnAddress[] {
    const now = performance.now()
    if (now - this.#readAt < KEPT_MILLISECONDS) return this.#own
    this.#readAt = now
    this.#own = Object.entries(networkInterfaces()).flatMap(([name, list = []]) =>
      list.flatMap((entry) => {
        const address = new Address()
        const isZoned = entry.family === "IPv6" && readAddress(entry.address, address) && address.isLinkLocal
        if (!isZoned) return []
        const zone = process.platform === "win32" ? `${entry.scopeid}` : name
        return [{ address, zone, name, scope: entry.scopeid }]
      }),
    )
    return this.#own
  }
}
