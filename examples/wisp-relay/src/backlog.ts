/** What a packet costs beside its bytes, roughly. */
const PACKET_BYTES = 256

/** Bytes that wait in one direction, of all streams of a client. */
export class Backlog {
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  add(packet: Uint8Array): void {
    this.#bytes += packet.length + PACKET_BYTES
  }

  remove(packet: Uint8Array): void {
    this.#bytes -= packet.length + PACKET_BYTES
  }
}
