import type { LookupAddress } from "node:dns"
import { lookup } from "node:dns/promises"

export const WispType = { connect: 1, data: 2, continue: 3, close: 4 } as const
export const StreamType = { tcp: 1, udp: 2 } as const
export const CloseReason = {
  voluntary: 0x02,
  networkError: 0x03,
  unreachable: 0x42,
  timedOut: 0x43,
  refused: 0x44,
  blocked: 0x48,
} as const

/** Packets of a stream that a client may send before it has to wait. */
export const CREDIT = 128

/** A stream of a client. */
export interface Stream {
  send(payload: Buffer): void
  credit(packets: number): void
  /** @param reason undefined if the WebSocket is gone */
  close(reason: number | undefined): void
}

/** What streams need of their client. */
export interface ToClient {
  /** True if the client has the extension. */
  readonly isTwoWay: boolean
  /** Bytes that the WebSocket hasn't sent. */
  readonly bufferedBytes: number
  send(type: number, id: number, payload: Uint8Array, sent?: () => void): void
  /** Says that the client may send more for a stream. */
  sendCredit(id: number): void
  /** Closes a stream that the client hasn't closed. */
  close(id: number, reason: number): void
  readonly allows: (address: string, port: number) => boolean
}

/** The address of a host that the client may reach. Throws an error with a code otherwise. */
export async function allowedAddress(toClient: ToClient, host: string, port: number): Promise<LookupAddress> {
  const found = await lookup(host)
  if (!toClient.allows(found.address, port)) throw Object.assign(new Error("Not allowed"), { code: "BLOCKED" })
  return found
}

export function reasonOf(error: NodeJS.ErrnoException): number {
  switch (error.code) {
    case "ECONNREFUSED":
      return CloseReason.refused
    case "ETIMEDOUT":
      return CloseReason.timedOut
    case "BLOCKED":
      return CloseReason.blocked
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return CloseReason.unreachable
    default:
      return CloseReason.networkError
  }
}
