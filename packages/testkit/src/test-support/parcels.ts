import {
  CHECKSUM_DONE,
  type Components,
  DatagramBatch,
  Demiflow,
  type Sequence,
  type SideRef,
  type Socket,
} from "@demiflow/core"
import { FlowHandler, FlowState, foundBy, Readable, type ReadableId } from "@demiflow/protocol-kit"

/** IP protocol number. */
export const PARCELS = 254
export const IDLE_TIMEOUT = 30_000

class Parcel extends FlowState {
  readonly socket: Socket

  constructor(socket: Socket) {
    super()
    this.socket = socket
  }
}

/** A protocol without a header, whose packets leave as UDP to port 7. Each flow has a socket of its own. */
export class Parcels extends FlowHandler<Parcel> {
  /** Errors of sockets, in the order in which they came. */
  readonly errors: number[] = []
  readonly #batch = new DatagramBatch(1)
  readonly #tap = new Demiflow()

  constructor(components: Components) {
    super(components, { name: "parcels", protocol: PARCELS })
  }

  protected override open(side: SideRef, _tap: Demiflow, target: Demiflow): Parcel | Socket {
    target.correspondentPort = 7
    const socket = this.components.sockets.udpOpen(side, target)
    return socket < 0 ? socket : new Parcel(socket)
  }

  protected override close({ socket }: Parcel): void {
    this.components.sockets.close(socket)
  }

  protected override idleTimeout(): number {
    return IDLE_TIMEOUT
  }

  protected override socketOf({ socket }: Parcel): Socket {
    return socket
  }

  protected override send({ socket }: Parcel, sequence: Sequence): void {
    const batch = this.#batch
    for (let index = 0; index < sequence.count; index++) {
      batch.offset[0] = sequence.transportOffset[index]
      batch.length[0] = sequence.endOffset[index] - batch.offset[0]
      batch.segmentSize[0] = 0
      this.components.sockets.sendDatagrams(socket, batch, 0, 1)
    }
  }

  protected override onReadable({ socket, tapSide }: Parcel): ReadableId {
    const { flows, guest, sockets } = this.components
    const batch = this.#batch
    flows.readSide(tapSide, this.#tap)
    if (!guest.hasRoom(65_507)) return Readable.noRoom
    const offset = guest.begin(this.#tap, PARCELS, 65_507)
    batch.offset[0] = offset
    batch.length[0] = 65_507
    const received = sockets.receiveDatagrams(socket, batch, 1)
    if (received > 0) guest.end(offset, batch.length[0], CHECKSUM_DONE)
    else guest.abandon(offset)
    return foundBy(received)
  }

  protected override onError(_state: Parcel, errno: number): void {
    this.errors.push(errno)
  }
}
