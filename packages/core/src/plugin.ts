/**
 * How a protocol plugs in.
 *
 * A package exports a factory that takes its own options and returns a {@link ProtocolPlugin}: a function from a
 * stack's {@link Components} to the {@link ProtocolHandler} that the stack calls from then on.
 */
import type { Arena } from "./arena.ts"
import type { Clock, Log, Random } from "./clock.ts"
import type { Demiflow, InterfaceId } from "./demiflow.ts"
import type { Disposition } from "./disposition.ts"
import type { Drops } from "./drops.ts"
import type { FlowIndex, FlowTable, PlaceShareId, SideRef } from "./flow-table.ts"
import type { Forwarding } from "./forwarding.ts"
import type { Guest } from "./guest.ts"
import type { GuestError } from "./guest-error.ts"
import type { Listener } from "./listener.ts"
import type { LocalPath } from "./local-path.ts"
import type { FlowReports, FlowTotals } from "./observer.ts"
import type { Sequence } from "./sequence.ts"
import type { Sockets } from "./sockets.ts"
import type { Verdicts } from "./verdicts.ts"

/**
 * The packets that a handler asks for. The order of registration means nothing: claims to a part of a protocol come
 * before those to all of it, and of two handlers with the same claim one names the other in `before`.
 */
export type Claim = (
  | {
      /** Frames of this EtherType that aren't IP. */
      readonly etherType: number
    }
  | {
      /** Packets of every IP protocol that no handler claims, whether registered earlier or later. */
      readonly otherIpProtocols: true
    }
  | {
      /** Packets of this IP protocol, over both versions of IP. */
      readonly ipProtocol: number
      /** True if the first four bytes of its header are source and destination port, as in TCP, UDP, SCTP. */
      readonly hasPorts?: boolean
      /** Only packets to this port. */
      readonly forwardingPort?: number
    }
  | {
      /** Packets of this IP protocol, whose header has no ports, over both versions of IP. */
      readonly ipProtocol: number
      /** Only packets whose transport header begins with one of these bytes, as the types of ICMP messages do. */
      readonly messageTypes: readonly number[]
    }
) & {
  /** Names of the handlers with the same claim that are asked only if this one answers `NOT_MINE`. */
  readonly before?: readonly string[]
}

/** What a stack offers to the protocols registered with it. */
export interface Components {
  readonly arena: Arena
  readonly guest: Guest
  readonly sockets: Sockets
  /**
   * Sockets inside the guest's namespace; absent if there is no namespace, or if its local connections should use the
   * tap.
   */
  readonly localPath?: LocalPath | undefined
  readonly flows: FlowTable
  /** The policy. Ask it about new flows through {@link Components.verdicts}. */
  readonly forwarding: Forwarding
  /** Verdicts on new flows. */
  readonly verdicts: Verdicts
  /** Where a handler reports the states of its flows, for observers. */
  readonly reports: FlowReports
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly drops: Drops
  /** The number of this handler, to be passed to `flows.allocate`. */
  readonly handlerNumber: number
  /**
   * Requests a call of {@link ProtocolHandler.tick} at this time, in clock milliseconds; replaces an earlier request.
   */
  wakeAt(deadline: number): void
  /**
   * Asks the handlers to give up one socket, after one couldn't be opened for lack of descriptors or memory
   * (`isShortage`). They are asked in order ({@link ProtocolHandler.giveWay}). True if one did, so that it is worth
   * retrying.
   */
  relieve(): boolean
  /**
   * Asks the handlers to end one flow, because the flow table has no place for flows of this share. They are asked in
   * order ({@link ProtocolHandler.givePlace}). True if one did: the place is free at once unless the whole table is
   * full, else in the next turn.
   */
  makeRoom(share: PlaceShareId): boolean
  /**
   * Hands an ICMP error from the guest's side to the handler of the flow that it is about. Returns false if there is no
   * such flow, or if its handler doesn't believe the error.
   *
   * @param protocol IP protocol of the quoted packet
   * @param tapSide the quoted packet's ends: forwarding is its source
   */
  reportGuestError(protocol: number, tapSide: Demiflow, error: Readonly<GuestError>): boolean
}

/** A protocol, set up on a stack. */
export interface ProtocolHandler {
  /** For logs and counters, such as `tcp`. */
  readonly name: string
  readonly claims: readonly Claim[]
  /** Handles packets from the guest. They are valid during the call. Never throws, whatever they contain. */
  fromGuest(sequence: Sequence): Disposition
  /** Handles events on the socket of a side of an active flow of this handler; bits of `SocketEvent`. */
  fromHost?(side: SideRef, events: number): void
  /**
   * Handles a report that a packet sent on this side, a flow's tap side, wasn't delivered. The reporter knows the
   * flow's ends, which proves little: check the rest of the quotation before believing it. Valid during the call.
   * Returns false if the report isn't credible or is of no use.
   */
  fromGuestError?(side: SideRef, error: Readonly<GuestError>): boolean
  /** Opens the listener's port and sets its socket; 0, or a negated error number. Absent: the protocol can't listen. */
  listen?(listener: Listener): number
  /** Closes the listener's port. The protocol decides about flows that began there. */
  unlisten?(listener: Listener): void
  /** Handles events on the socket of a listener of this handler; bits of `SocketEvent`. */
  fromListener?(listener: Listener, events: number): void
  /**
   * Numbers of ports at a place to which flows' sockets are bound that receive from any correspondent, and so seem to
   * listen. Excludes the ports of listeners.
   */
  portsInUse?(place: InterfaceId): Iterable<number>
  /** Called when a deadline set with `flows.schedule` is due. */
  expire?(flow: FlowIndex, now: number): void
  /** Called when the time set with `wakeAt` is due. */
  tick?(now: number): void
  /** Called once a turn, after all packets and events, before output is handed to the link. */
  endTurn?(): void
  /** Called when the link takes frames again, after `guest.isCongested`. */
  resume?(): void
  /**
   * Called when the link is back after an interruption. What was sent meanwhile is lost: resend now what awaits the
   * guest's reply.
   */
  reconnected?(): void
  /** Called when the stack starts and packets may be sent: once for each guest that comes. */
  start?(): void
  /** Called when the guest is gone, after its flows were ended. Send nothing before the next `start`. */
  stop?(): void
  /** Closes a socket that can be spared, with its flows, because sockets are scarce. Returns false if there is none. */
  giveWay?(): boolean
  /**
   * Ends a flow that can be spared, because the table is short of places for flows of this share. A flow of the guest's
   * that was answered, or was used within the last second, must not give way to flows from outside. Returns false if
   * there is none.
   */
  givePlace?(share: PlaceShareId): boolean
  /** Returns what a flow has carried. Called right before the flow loses its place, if there are observers. */
  totalsOf?(flow: FlowIndex): FlowTotals
  /**
   * Ends a flow at once: the stack is going down, the guest is gone, or a call of the handler about the flow has
   * thrown.
   */
  abort?(flow: FlowIndex): void
}

/** Sets a protocol up on a stack. */
export interface ProtocolPlugin {
  (components: Components): ProtocolHandler
  /** Bytes of the arena that the handler reserves at most, alignment included; {@link PLUGIN_ARENA_BYTES} if absent. */
  readonly arenaBytes?: number
  /** Bytes more that it reserves on a stack with a local path; none if absent. */
  readonly localPathArenaBytes?: number
}

/** What a plug-in that declares nothing may reserve of the arena, in bytes. */
export const PLUGIN_ARENA_BYTES = 65_536

/**
 * Declares what a plug-in reserves of the arena: see {@link ProtocolPlugin.arenaBytes} and
 * {@link ProtocolPlugin.localPathArenaBytes}.
 */
export function reserving(
  arenaBytes: number,
  plugin: (components: Components) => ProtocolHandler,
  localPathArenaBytes = 0,
): ProtocolPlugin {
  return Object.assign((components: Components) => plugin(components), { arenaBytes, localPathArenaBytes })
}
