import type { Address, InterfaceId } from "@demiflow/core"

/** A range of ports at one end, and the range of the same size that it leads to at the other end. */
export interface ForwardingRule {
  /**
   * Where the ports are: `host` for ports that lead to the guest, `splice` for ports of its namespace that lead to the
   * host.
   */
  readonly interface: InterfaceId
  /** IP protocol number: TCP or UDP. */
  readonly protocol: number
  /** As in a `ListeningEnd`: absent for any address of both IP versions. */
  readonly address: Readonly<Address> | undefined
  /** Accept only what arrives on this interface of the host. */
  readonly interfaceName: string | undefined
  /** 1–65535. */
  readonly firstPort: number
  /** `firstPort` to 65535. */
  readonly lastPort: number
  /** Absent: the address that the guest last used. */
  readonly targetAddress: Readonly<Address> | undefined
  /** 1–65535; the others follow in order. */
  readonly firstTargetPort: number
  /** True if ports that can't be opened are skipped. */
  readonly isBestEffort: boolean
  /** True if a port is open only while its target port is bound at the other end. */
  readonly isAuto: boolean
  /** True to bind to an address that the host doesn't have, or not yet. */
  readonly freebind: boolean
}
