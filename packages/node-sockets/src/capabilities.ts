import { LEAST_CAPABILITIES, type SocketsCapabilities } from "@demiflow/core"

/** What sockets of `node:net` and `node:dgram` can do. */
export const NODE_CAPABILITIES: SocketsCapabilities = Object.freeze({
  ...LEAST_CAPABILITIES,
  listening: true,
  datagrams: true,
  halfClose: true,
  ownEnds: true,
  hopLimits: true,
  linkLocal: true,
})
