/**
 * Ports at which the stack listens on behalf of its guest.
 *
 * A listener is one port of one protocol; where it leads is part of it. What opens and closes them (a table of forwarded
 * ports, say) asks the {@link Stack}, which has the protocol's handler open the socket.
 */
import type { Address } from "./address.ts"
import type { InterfaceId } from "./demiflow.ts"
import type { Socket } from "./host.ts"

declare const brand: unique symbol

/** The number of a listener, 0 or above; a negative value is a negated error number. */
export type ListenerRef = number & { readonly [brand]: true }

/** What a listening socket is bound to. */
export interface ListeningEnd {
  /**
   * Absent: any address of both IP versions, by one socket where the host can. The unspecified address of one version: any
   * of that version.
   */
  readonly address: Readonly<Address> | undefined
  /** 1–65535. */
  readonly port: number
  /** Only what arrives on this interface of the host. */
  readonly interfaceName: string | undefined
  /** True to bind to an address that the host doesn't have, or not yet. */
  readonly freebind: boolean
  /** True if the port follows what is bound elsewhere: it gets a share of the host's sockets, and never the last of them. */
  readonly isAuto?: boolean
}

/** A port at which the stack listens. */
export interface Listener {
  readonly ref: ListenerRef
  /** IP protocol number. */
  readonly protocol: number
  /** Where its socket lives. */
  readonly interface: InterfaceId
  readonly end: ListeningEnd
  /** Where it leads at the guest; absent: the address that was asked, if the guest has it, or the one last seen of it. */
  readonly targetAddress: Readonly<Address> | undefined
  /** 1–65535. */
  readonly targetPort: number
  /** Set by the handler that listens. */
  socket: Socket
}
