/**
 * A connection that somebody in the world begins: how its handshake with the host goes.
 *
 * The host's kernel does the handshake by itself and puts the connection where it waits for its acceptance. Where no more
 * may wait, it doesn't answer, and the world tries again as Linux does: after 1, 3, 7 … seconds.
 */
import type { VirtualClock } from "../virtual-clock.ts"
import type { TcpListeningSocket } from "./tcp-listening-socket.ts"
import type { TcpSocket } from "./tcp-socket.ts"
import type { WorldEnd } from "./world-connection.ts"

const FIRST_RETRY = 1_000

/** What a handshake needs of the host. */
export interface HandshakeSurroundings {
  readonly clock: VirtualClock
  /** Draws how long a packet takes to the other end, milliseconds. */
  readonly delay: () => number
  /** Milliseconds after which the world gives up. */
  readonly connectTimeout: number
  /** Finds what listens at the end that is connected to, at this moment. */
  readonly findListening: () => TcpListeningSocket | undefined
}

/** Begins the handshake between the world's end and the socket that the host will accept. */
export function shakeHands(end: WorldEnd, socket: TcpSocket, surroundings: HandshakeSurroundings): void {
  const { clock, delay, connectTimeout, findListening } = surroundings
  const start = clock.now

  const arrive = (retry: number) => {
    if (end.isReset) return
    const listening = findListening()
    if (listening === undefined) clock.schedule(delay(), () => end.fail("refused"))
    else if (!listening.isFull) answer(listening)
    else if (clock.now + retry - start < connectTimeout) {
      clock.schedule(retry, () => clock.schedule(delay(), () => arrive(retry * 2)))
    } else clock.schedule(start + connectTimeout - clock.now, () => end.fail("timedOut"))
  }

  const answer = (listening: TcpListeningSocket) => {
    listening.begin()
    socket.establish(end.incoming, end.outgoing, () => end.room)
    clock.schedule(delay(), () => {
      end.establish()
      clock.schedule(delay(), () => listening.arrive(socket))
    })
  }

  clock.schedule(delay(), () => arrive(FIRST_RETRY))
}
