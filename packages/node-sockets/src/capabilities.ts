import type { SocketsCapabilities } from "@demiflow/core"

/** What sockets of `node:net` and `node:dgram` can do. */
export const NODE_CAPABILITIES: SocketsCapabilities = Object.freeze({
  listening: true,
  datagrams: true,
  halfClose: true,
  ownEnds: true,
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
})
