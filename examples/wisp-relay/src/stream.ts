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
  /** The client has closed it. @param isOrderly true if what the client has sent is still to arrive */
  close(isOrderly: boolean): void
  /** Ends it at once. */
  destroy(): void
}

/** What streams need of their client. */
export interface ToClient {
  /** True if the client has the extension. */
  readonly isTwoWay: boolean
  /** Bytes that the WebSocket hasn't sent. */
  readonly bufferedBytes: number
  send(type: number, id: number, payload: Uint8Array, sent?: () => void): void
  /** Says how many packets the client may send for a stream from now on. */
  sendCredit(id: number, packets: number): void
  /** Forgets a stream without socket and without a lookup. The client hears of it unless it has closed the stream. */
  ended(stream: Stream, id: number, reason: number): void
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
