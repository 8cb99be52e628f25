import { CHECKSUM_DONE, HANDLED, type ProtocolHandler, type ProtocolPlugin } from "@demiflow/core"

/** A protocol for tests: IP protocol 253 (RFC 3692), whose packets are returned unchanged. */
export const mirror: ProtocolPlugin = ({ arena, guest }): ProtocolHandler => {
  return {
    name: "mirror",
    claims: [{ ipProtocol: 253 }],
    fromGuest(sequence) {
      for (let index = 0; index < sequence.count; index++) {
        const from = sequence.transportOffset[index]
        const length = sequence.endOffset[index] - from
        const offset = guest.begin(sequence.demiflow, 253, length)
        if (offset < 0) continue
        arena.copy(from, offset, length)
        guest.end(offset, length, CHECKSUM_DONE)
      }
      return HANDLED
    },
  }
}
