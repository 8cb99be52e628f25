/**
 * Ports on which the stack listens on behalf of its guest.
 *
 * A listener is one port of one protocol, with its target. To open or close one, call the stack's {@link Listeners} (a
 * table of forwarded ports does that, for example): the stack has the protocol's handler open the socket.
 */
import type { Address } from "./address.ts"
import type { InterfaceId } from "./demiflow.ts"
import type { Socket } from "./socket.ts"

declare const brand: unique symbol

/** The number of a listener, 0 or above; a negative value is a negated error number. */
export type ListenerRef = number & { readonly [brand]: true }

/** What a listening socket is bound to. */
export interface ListeningEnd {
  /**
   * Absent: any address of both IP versions, with one socket if the host supports that. The unspecified address of one
   * version: any address of that version.
   */
  readonly address: Readonly<Address> | undefined
  /** 1–65535. */
  readonly port: number
  /** Accept only what arrives on this interface of the host. */
  readonly interfaceName: string | undefined
  /** True to allow an address that the host doesn't have, or not yet. */
  readonly freebind: boolean
  /**
   * True if the port mirrors one that is bound elsewhere: it gets a share of the host's sockets, and never the last of
   * them.
   */
  readonly isAuto?: boolean
}

/** A port on which the stack listens. */
export interface Listener {
  readonly ref: ListenerRef
  /** IP protocol number. */
  readonly protocol: number
  /** Where its socket lives. */
  readonly interface: InterfaceId
  readonly end: ListeningEnd
  /**
   * Target address at the guest. Absent: the address that the correspondent used, if the guest has it, else the one
   * last seen.
   */
  readonly targetAddress: Readonly<Address> | undefined
  /** 1–65535. */
  readonly targetPort: number
  /** Set by the handler that listens. */
  socket: Socket
}

/** The listeners of a stack. */
export interface Listeners {
  /**
   * Listens on the host for the guest, or inside the guest's namespace for the host. Returns the listener's number, or
   * a negated error number: `-EPROTONOSUPPORT` if no handler can listen for this protocol at that place.
   *
   * @param protocol IP protocol number
   * @param targetAddress at the other end; absent: the address that the guest last used, or the host's loopback
   * @param place where to listen: `host`, or `splice` inside the namespace; `host` if not given
   */
  listen(
    protocol: number,
    end: ListeningEnd,
    targetAddress: Readonly<Address> | undefined,
    targetPort: number,
    place?: InterfaceId,
  ): ListenerRef
  /** Stops listening. The protocol decides about flows that began there: those of TCP go on, those of UDP end. */
  unlisten(ref: ListenerRef): void
  /**
   * Numbers of ports that flows of a protocol occupy at a place without a listener: see
   * `ProtocolHandler.portsInUse`.
   */
  portsInUse(protocol: number, place: InterfaceId): number[]
}
