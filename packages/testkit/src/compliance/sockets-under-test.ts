import type { Address, ListenerRef, SideRef, Sockets } from "@demiflow/core"

/** An address and a port. */
export interface End {
  readonly address: Address
  readonly port: number
}

/** The other end of a connection with a host. */
export interface CorrespondentConnection {
  /** Sends bytes. */
  write(bytes: Uint8Array): void
  /** Sends nothing more. */
  end(): void
  /** Closes by a reset. */
  reset(): void
  /** Stops and resumes reading, so that the host's send buffer fills and drains. */
  pause(): void
  resume(): void
  /** Bytes read so far, in order. */
  readonly received: Uint8Array
  /** True once the host has ended its direction and everything was read. */
  readonly isEnded: boolean
  /** True once the host has reset the connection. */
  readonly isReset: boolean
}

/** A connection that a client began towards the host. */
export interface CorrespondentClient extends CorrespondentConnection {
  /** True once the host has accepted it; {@link CorrespondentClient.ownEnd} is known from then on. */
  readonly isConnected: boolean
  /** True once the host has refused it. */
  readonly isRefused: boolean
  /** The client's end. */
  readonly ownEnd: End
}

/** A server that accepts connections. */
export interface CorrespondentListener extends End {
  /** Connections accepted so far. */
  readonly connections: readonly CorrespondentConnection[]
  close(): void
}

/** A UDP correspondent. */
export interface CorrespondentUdp extends End {
  /** Datagrams received so far. */
  readonly received: readonly Uint8Array[]
  /** The source of each. */
  readonly senders: readonly End[]
  /** Sends a datagram to a port of the host. */
  send(bytes: Uint8Array, address: Address, port: number): void
  close(): void
}

/** A host and its correspondents. They may work by themselves or only while {@link SocketsUnderTest.turn} runs. */
export interface SocketsUnderTest {
  readonly sockets: Sockets
  /**
   * Lets a little time pass for both ends, and reports the host's events for sides and for listeners. A test calls it
   * repeatedly until its condition holds.
   */
  turn(
    deliver: (side: SideRef, events: number) => void,
    deliverToListener: (listener: ListenerRef, events: number) => void,
  ): void | Promise<void>
  /** A server that the host reaches. */
  listen(isV4: boolean): CorrespondentListener | Promise<CorrespondentListener>
  /** A UDP correspondent that the host reaches. */
  openUdp(isV4: boolean): CorrespondentUdp | Promise<CorrespondentUdp>
  /** An end at which TCP is refused and datagrams are answered with "port unreachable". */
  unusedEnd(isV4: boolean): End
  /**
   * An address of the host that correspondents reach, and a port that nothing uses, neither there nor at any other
   * address of either version of IP. Another port each time.
   */
  ownEnd(isV4: boolean): End
  /** Begins a connection to an end of the host. */
  connect(end: End): CorrespondentClient
  /** Addresses that answer echo requests, where the host may open ping sockets; else these tests are not defined. */
  readonly pingable?: (isV4: boolean) => readonly Address[]
  /** Releases everything. */
  close?(): void | Promise<void>
}
