import { Address } from "./address.ts"

/** Where a side lives. */
export const Interface = {
  /** Layer 2, towards the guest. */
  tap: 1,
  /** Sockets on the host. */
  host: 2,
  /** Sockets inside the guest's namespace. */
  splice: 3,
} as const

/** One of the values of {@link Interface}. */
export type InterfaceId = (typeof Interface)[keyof typeof Interface]

/** Names for logs. */
export function interfaceName(id: InterfaceId): string {
  return id === Interface.tap ? "tap" : id === Interface.host ? "host" : "splice"
}

/**
 * One side of a flow, as seen from us on that side.
 *
 * A packet that arrives on the side has the correspondent as its source and the forwarding end as its destination; one
 * that we send there has them the other way round. One type for all protocols: a protocol without ports has zeros
 * there, ICMP echo has its identifier in both.
 *
 * Mutable, so that one scratch instance serves every packet. Copy it to keep it beyond a call.
 */
export class Demiflow {
  interface: InterfaceId
  /** Source of what we send on this side. */
  readonly forwardingAddress: Address
  /** 0–65535; 0 on the host side means "any", until the kernel has chosen. */
  forwardingPort: number
  /** Destination of what we send on this side. */
  readonly correspondentAddress: Address
  /** 0–65535. */
  correspondentPort: number

  constructor(id: InterfaceId = Interface.tap) {
    this.interface = id
    this.forwardingAddress = new Address()
    this.forwardingPort = 0
    this.correspondentAddress = new Address()
    this.correspondentPort = 0
  }

  /** Makes one from its parts; the addresses are copied. */
  static of(
    id: InterfaceId,
    forwardingAddress: Readonly<Address>,
    forwardingPort: number,
    correspondentAddress: Readonly<Address>,
    correspondentPort: number,
  ): Demiflow {
    const demiflow = new Demiflow(id)
    demiflow.forwardingAddress.copyFrom(forwardingAddress)
    demiflow.forwardingPort = forwardingPort
    demiflow.correspondentAddress.copyFrom(correspondentAddress)
    demiflow.correspondentPort = correspondentPort
    return demiflow
  }

  /** True if both ends are IPv4. */
  get isV4(): boolean {
    return this.correspondentAddress.isV4
  }

  equals(other: Demiflow): boolean {
    return (
      this.correspondentPort === other.correspondentPort &&
      this.forwardingPort === other.forwardingPort &&
      this.interface === other.interface &&
      this.correspondentAddress.equals(other.correspondentAddress) &&
      this.forwardingAddress.equals(other.forwardingAddress)
    )
  }

  copyFrom(other: Demiflow): this {
    this.interface = other.interface
    this.forwardingAddress.copyFrom(other.forwardingAddress)
    this.forwardingPort = other.forwardingPort
    this.correspondentAddress.copyFrom(other.correspondentAddress)
    this.correspondentPort = other.correspondentPort
    return this
  }

  clone(): Demiflow {
    return new Demiflow().copyFrom(this)
  }

  /** For logs: `tap 198.51.100.7:80 → 192.0.2.2:40000`, from forwarding to correspondent end. */
  toString(): string {
    const forwarding = formatEndpoint(this.forwardingAddress, this.forwardingPort)
    const correspondent = formatEndpoint(this.correspondentAddress, this.correspondentPort)
    return `${interfaceName(this.interface)} ${forwarding} → ${correspondent}`
  }
}

/** `192.0.2.1:80` or `[2001:db8::1]:80`. */
export function formatEndpoint(address: Address, port: number): string {
  return address.isV4 ? `${address}:${port}` : `[${address}]:${port}`
}
