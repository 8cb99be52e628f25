/** Behind the header of a packet: the largest datagram, or a piece of a connection. */
const LARGEST_PAYLOAD = 64 << 10

/** Options of a WebSocket server for this machine. Pages of other sites must not reach it; programs name no origin. */
export const serverOptions: {
  readonly maxPayload: number
  readonly perMessageDeflate: boolean
  readonly verifyClient: (request: { readonly origin?: string }) => boolean
} = {
  maxPayload: 5 + LARGEST_PAYLOAD,
  perMessageDeflate: false,
  verifyClient: ({ origin = "" }) => origin === "" || /^https?:\/\/(127\.0\.0\.1|localhost)(:\d+)?$/.test(origin),
}
