/**
 * How a protocol plugs in.
 *
 * A package exports a factory that takes its own options and answers a {@link ProtocolPlugin}: a function that takes what
 * it needs of a stack's {@link Components} and answers the {@link ProtocolHandler} that the stack calls from then on.
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
import type { Host } from "./host.ts"
import type { Listener } from "./listener.ts"
import type { LocalPath } from "./local-path.ts"
import type { Sequence } from "./sequence.ts"

/** What a handler asks to see. Handlers with a claim on the same packets are asked in the order of registration. */
export type Claim =
  | {
      /** Frames of this EtherType that aren't IP. */
      readonly etherType: number
    }
  | {
      /** Packets of every IP protocol on which no handler has a claim, whenever it is registered. */
      readonly otherIpProtocols: true
    }
  | {
      /** Packets of this IP protocol, over both versions of IP. */
      readonly ipProtocol: number
      /** True if the first four bytes of its header are source and destination port, as in TCP, UDP, SCTP. */
      readonly hasPorts?: boolean
      /** Only packets to this port. Such a claim goes before claims to the whole protocol. */
      readonly forwardingPort?: number
    }

/** What a stack offers to the protocols registered with it. */
export interface Components {
  readonly arena: Arena
  readonly guest: Guest
  readonly host: Host
  /** Sockets inside the guest's namespace; absent where it has none, or its local connections are to use the tap. */
  readonly localPath?: LocalPath | undefined
  readonly flows: FlowTable
  readonly forwarding: Forwarding
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly drops: Drops
  /** The number under which this handler's flows are kept: what `flows.allocate` wants. */
  readonly handlerNumber: number
  /** Asks for {@link ProtocolHandler.tick} at the time, in clock milliseconds; replaces an earlier request. */
  wakeAt(deadline: number): void
  /**
   * A socket couldn't be opened for want of descriptors or memory (`isShortage`): asks the handlers for one in turn
   * ({@link ProtocolHandler.giveWay}). True if one gave way, so that another try is worth it.
   */
  relieve(): boolean
  /**
   * The flow table has no place for flows of this share: asks the handlers for one in turn ({@link ProtocolHandler.givePlace}).
   * True if a flow gave way. Its place is free at once where the table as a whole isn't full, or else in the next turn.
   */
  makeRoom(share: PlaceShareId): boolean
  /**
   * Hands an ICMP error from the guest's side to the handler of the flow that it is about; false if there is none, or if the
   * handler doesn't believe it.
   *
   * @param protocol IP protocol of the packet that it quotes
   * @param tapSide that packet's ends: forwarding is where it came from
   */
  reportGuestError(protocol: number, tapSide: Demiflow, error: Readonly<GuestError>): boolean
}

/** A protocol, set up on a stack. */
export interface ProtocolHandler {
  /** For logs and counters, such as `tcp`. */
  readonly name: string
  readonly claims: readonly Claim[]
  /** Packets from the guest. Valid during the call. Never throws, whatever they contain. */
  fromTap(sequence: Sequence): Disposition
  /** Something happened on the socket of a side of an active flow of this handler; bits of `HostEvent`. */
  fromHost?(side: SideRef, events: number): void
  /**
   * A packet sent on this side, a flow's tap side, didn't arrive, or so somebody says who knows the flow's ends: a handler checks
   * what more is quoted before it believes that. Valid during the call. Answers false if nothing speaks for it, or if it is
   * of no use.
   */
  fromGuestError?(side: SideRef, error: Readonly<GuestError>): boolean
  /** Opens the listener's port and sets its socket; 0, or a negated error number. Absent: the protocol can't listen. */
  listen?(listener: Listener): number
  /** Closes the listener's port. What becomes of flows that began there is the protocol's to say. */
  unlisten?(listener: Listener): void
  /** Something happened on the socket of a listener of this handler; bits of `HostEvent`. */
  fromListener?(listener: Listener, events: number): void
  /**
   * Numbers of ports there that flows are bound to by sockets that hear anybody: they seem to listen. Those of
   * listeners aside.
   */
  portsInUse?(place: InterfaceId): Iterable<number>
  /** What was asked for with `flows.schedule` is due. */
  expire?(flow: FlowIndex, now: number): void
  /** What was asked for with `wakeAt` is due. */
  tick?(now: number): void
  /** Once a turn, after all packets and events, before output is handed to the link. */
  endTurn?(): void
  /** The link takes frames again, after `guest.isCongested`. */
  resume?(): void
  /**
   * The link was gone for a while, what was sent meanwhile is lost, and it is there again. What waits for an answer of the
   * guest is sent again now.
   */
  reconnected?(): void
  /** Called when the stack starts, when packets may be sent: for each guest that comes, once. */
  start?(): void
  /** Called when the guest is gone, after its flows were ended: nothing is to be sent before the next `start`. */
  stop?(): void
  /** Sockets are scarce: closes one that can be spared, with the flows that have it. False if there is none. */
  giveWay?(): boolean
  /**
   * Places of the flow table are scarce for flows of this share: ends a flow that can be spared. To flows from outside, nothing of
   * the guest's gives way that was answered, or was asked just now. False if there is none.
   */
  givePlace?(share: PlaceShareId): boolean
  /** Ends a flow at once: the stack is going down, or the guest is gone. */
  abort?(flow: FlowIndex): void
}

/** Sets a protocol up on a stack. */
export type ProtocolPlugin = (components: Components) => ProtocolHandler
