import type { SocketsCapabilities } from "@demiflow/core"

const least: SocketsCapabilities = {
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
  immediateErrors: false,
  freebind: false,
  interfaceBinding: false,
  datagramDestinations: false,
}

/** What sockets over version 1.2 of the wisp protocol can do. */
export const WISP_CAPABILITIES: SocketsCapabilities = Object.freeze({ ...least, datagrams: true })

/** What they can do if the relay has the extension for both directions (see the README). */
export const TWO_WAY_WISP_CAPABILITIES: SocketsCapabilities = Object.freeze({ ...WISP_CAPABILITIES, halfClose: true })

/** What sockets over `connect()` can do. */
export const CONNECT_CAPABILITIES: SocketsCapabilities = Object.freeze({ ...least, halfClose: true })
