/**
 * The handshake of a connection that a client in the world begins with the host.
 *
 * The host's kernel does the handshake by itself and queues the connection until it is accepted. If the queue is full,
 * the kernel doesn't answer, and the world retries as Linux does: after 1, 3, 7 … seconds.
 */
import type { VirtualClock } from "../virtual-clock.ts"
import type { Network } from "./network.ts"
import type { TcpListeningSocket } from "./tcp-listening-socket.ts"
import type { TcpSocket } from "./tcp-socket.ts"
import type { WorldEnd } from "./world-connection.ts"

const FIRST_RETRY = 1_000

/** The host, as a handshake needs it. */
export interface HandshakeSurroundings {
  readonly clock: VirtualClock
  readonly network: Network
  /** Draws a packet's delay to the other end, milliseconds. */
  readonly delay: () => number
  /** Milliseconds after which the world gives up. */
  readonly connectTimeout: number
  /** Finds the socket that listens at the target end at this moment. */
  readonly findListening: () => TcpListeningSocket | undefined
}

/** Begins the handshake between the world's end and the socket that the host will accept. */
export function shakeHands(end: WorldEnd, socket: TcpSocket, surroundings: HandshakeSurroundings): void {
  const { clock, network, delay, connectTimeout, findListening } = surroundings
  const start = clock.now
  const travel = (happen: () => void) => network.deliver(delay(), socket, happen)

  const arrive = (retry: number) => {
    if (end.isReset) return
    const listening = findListening()
    if (listening === undefined) travel(() => end.fail("refused"))
    else if (!listening.isFull) answer(listening)
    else if (clock.now + retry - start < connectTimeout) {
      clock.schedule(retry, () => travel(() => arrive(retry * 2)))
    } else clock.schedule(start + connectTimeout - clock.now, () => end.fail("timedOut"))
  }

  const answer = (listening: TcpListeningSocket) => {
    listening.begin()
    socket.establish(end.incoming, end.outgoing, () => end.room)
    travel(() => {
      end.establish()
      travel(() => listening.arrive(socket))
    })
  }

  travel(() => arrive(FIRST_RETRY))
}
