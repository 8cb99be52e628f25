/** The flags of a segment (RFC 9293, section 3.1). */
export const TcpFlag = { fin: 1, syn: 2, reset: 4, push: 8, acknowledgement: 16, urgent: 32 } as const

/** A segment from the guest, without its payload. */
export class Segment {
  sequence = 0
  acknowledgement = 0
  flags = 0
  /** As in the header, unscaled. */
  window = 0
  /** Payload bytes. */
  length = 0

  /** Length in sequence numbers: payload, and one each for SYN and FIN. */
  get sequenceLength(): number {
    const { flags } = this
    return this.length + ((flags & TcpFlag.syn) >> 1) + (flags & TcpFlag.fin)
  }

  /** True if the flag is set. */
  has(flag: number): boolean {
    return (this.flags & flag) !== 0
  }
}
