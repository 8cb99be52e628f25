import { LEAST_CAPABILITIES, type SocketsCapabilities } from "@demiflow/core"

/** What sockets over version 1.2 of the wisp protocol can do. */
export const WISP_CAPABILITIES: SocketsCapabilities = Object.freeze({ ...LEAST_CAPABILITIES, datagrams: true })

/** What they can do if the relay has the extension for both directions (see the README). */
export const TWO_WAY_WISP_CAPABILITIES: SocketsCapabilities = Object.freeze({ ...WISP_CAPABILITIES, halfClose: true })

/** What sockets over `connect()` can do. */
export const CONNECT_CAPABILITIES: SocketsCapabilities = Object.freeze({ ...LEAST_CAPABILITIES, halfClose: true })
