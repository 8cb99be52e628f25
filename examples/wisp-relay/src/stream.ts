import type { LookupAddress } from "node:dns"
import { lookup } from "node:dns/promises"
import type { Backlog } from "./backlog.ts"

export const WispType = { connect: 1, data: 2, continue: 3, close: 4 } as const
export const StreamType = { tcp: 1, udp: 2 } as const
export const CloseReason = {
  voluntary: 0x02,
  networkError: 0x03,
  invalid: 0x41,
  unreachable: 0x42,
  timedOut: 0x43,
  refused: 0x44,
  blocked: 0x48,
  throttled: 0x49,
} as const

/** Packets of a stream that a client may send before it has to wait. */
export const CREDIT = 128
/** Bytes from a client that wait for servers, of all streams: what is above is refused. */
export const MOST_FROM_CLIENT: number = 64 << 20

/** A stream of a client. */
export interface Stream {
  send(payload: Buffer): void
  credit(packets: number): void
  /** Called when the client has become full, or no longer is. */
  pauseOrRead(): void
  /** The client has closed it. @param isOrderly true if what the client has sent is still to arrive */
  close(isOrderly: boolean): void
  /** Ends it at once. */
  destroy(): void
}

/** What streams need of their client. */
export interface ToClient {
  /** True if the client has the extension. */
  readonly isTwoWay: boolean
  /** What waits for servers. */
  readonly fromClient: Backlog
  /** True if nothing more should be read for the client. */
  readonly isFull: boolean
  send(type: number, id: number, payload: Uint8Array): void
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

/** A packet's payload to keep, without the larger buffer that it may have arrived in. */
export function own(payload: Buffer): Buffer {
  if (payload.length > payload.buffer.byteLength / 2) return payload
  const copy = Buffer.allocUnsafeSlow(payload.length)
  copy.set(payload)
  return copy
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
