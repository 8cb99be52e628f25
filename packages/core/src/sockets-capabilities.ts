/**
 * What the sockets of a host can do beyond the least that a stack needs. Protocols work without; some features of the
 * guest's network are then missing. A call that isn't supported returns a negated error number.
 */
export interface SocketsCapabilities {
  /**
   * `tcpListen` and `udpListen` have the guest reached from outside. Otherwise they return `-EPROTONOSUPPORT`.
   */
  readonly listening: boolean
  /** UDP sockets can be opened. Otherwise `udpOpen` and `udpBind` return `-EPROTONOSUPPORT`. */
  readonly datagrams: boolean
  /**
   * Each direction of a TCP connection ends by itself. Otherwise the correspondent hears of our end only when the
   * socket is closed, and its own end is that of both directions: `send` then returns `-EPIPE`.
   */
  readonly halfClose: boolean
  /**
   * `boundEnd` states the end that correspondents see, and a UDP socket hears anybody there. Otherwise the address is
   * unspecified, the port is none that anybody sees, and a UDP socket hears only correspondents that it has sent to.
   */
  readonly ownEnds: boolean
  /** Ping sockets can be opened. Otherwise `pingBind` returns `-EACCES`. */
  readonly ping: boolean
  /**
   * Errors that routers or correspondents report are queued for `receiveError`. Otherwise it never returns any, and
   * nothing is reported about a datagram that was not delivered.
   */
  readonly errorQueue: boolean
  /**
   * `unacknowledged` and `bytesAcknowledged` count what the correspondent has acknowledged. Otherwise they count what
   * the process has handed to its system.
   */
  readonly exactAcknowledgement: boolean
  /** `tcpInformation` has measurements. Otherwise, round-trip times and silence are 0, and unknown values are -1. */
  readonly tcpMetrics: boolean
  /** `askCorrespondent` probes at once, and so does `keepAlive` when its time has passed already. */
  readonly probes: boolean
  /** Urgent data is marked. Otherwise it is lost, or is part of the stream, as the system decides. */
  readonly urgentData: boolean
  /** Hop limit, traffic class and fragmentation can be set. Otherwise the host's defaults apply, see `hopLimits`. */
  readonly marks: boolean
  /** The hop limit of datagrams can be set, whatever `marks` is. */
  readonly hopLimits: boolean
  /**
   * Link-local IPv6 addresses are reached, and those of several links are distinguished. Otherwise `scope` is 0, and
   * sockets to such addresses fail.
   */
  readonly linkLocal: boolean
  /**
   * `tcpListen` and `tcpConnect` return an error if the host refuses to bind the socket. Otherwise they return only
   * errors that the process foresees, about its own sockets for example; others come later.
   */
  readonly immediateErrors: boolean
  /** A socket may listen at an address that the host doesn't have. */
  readonly freebind: boolean
  /** A socket may listen on one interface. Otherwise that is refused. */
  readonly interfaceBinding: boolean
  /**
   * A UDP socket that listens at any address reports to which address of the host a datagram was sent, and can answer
   * from there. Otherwise that address is unspecified.
   */
  readonly datagramDestinations: boolean
}

/** Sockets that can do everything. */
export const ALL_CAPABILITIES: SocketsCapabilities = Object.freeze({
  listening: true,
  datagrams: true,
  halfClose: true,
  ownEnds: true,
  ping: true,
  errorQueue: true,
  exactAcknowledgement: true,
  tcpMetrics: true,
  probes: true,
  urgentData: true,
  marks: true,
  hopLimits: true,
  linkLocal: true,
  immediateErrors: true,
  freebind: true,
  interfaceBinding: true,
  datagramDestinations: true,
})

/** Sockets that can do no more than the least: TCP connections to the outside. */
export const LEAST_CAPABILITIES: SocketsCapabilities = Object.freeze({
  listening: false,
  datagrams: false,
  halfClose: false,
  ownEnds: false,
  ping: false,
  errorQueue: false,
  exactAcknowledgement: false,
  tcpMetrics: false,
  probes: false,
  urgentData: false,
  marks: false,
  hopLimits: false,
  linkLocal: false,
  immediateErrors: false,
  freebind: false,
  interfaceBinding: false,
  datagramDestinations: false,
})
