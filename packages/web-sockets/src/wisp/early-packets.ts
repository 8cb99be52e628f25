/** Packets of a stream that wait until the relay is there. */
const MOST_OF_A_STREAM = 16
/** Bytes of all streams' together. */
const MOST_BYTES = 1 << 20

/** Datagrams that wait until the relay is there: a few of each stream, and a bounded number of bytes of all. */
export class EarlyPackets {
  readonly #packets = new Map<object, Uint8Array[]>()
  #bytes = 0

  /** Returns false if there is no room. */
  add(stream: object, packet: Uint8Array): boolean {
    const packets = this.#packets.get(stream)
    if (this.#bytes + packet.length > MOST_BYTES || (packets?.length ?? 0) >= MOST_OF_A_STREAM) return false
    if (packets === undefined) this.#packets.set(stream, [packet])
    else packets.push(packet)
    this.#bytes += packet.length
    return true
  }

  /** Removes those of a stream, and returns them. */
  take(stream: object): readonly Uint8Array[] {
    const packets = this.#packets.get(stream) ?? []
    this.#packets.delete(stream)
    for (const packet of packets) this.#bytes -= packet.length
    return packets
  }

  clear(): void {
    this.#packets.clear()
    this.#bytes = 0
  }
}
