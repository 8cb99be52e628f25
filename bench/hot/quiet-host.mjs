// Sockets that cost nothing: they accept everything, and have `waiting` bytes or datagrams to read.
import { Demiflow, Errno, Interface } from "@demiflow/core"

const SOCKET = 3
const SEND_BUFFER_BYTES = 1 << 20
/** Round-trip time to a near correspondent, microseconds. */
const ROUND_TRIP = 50

/** @typedef {import("@demiflow/core").Vectors} Vectors */
/** @typedef {import("@demiflow/core").DatagramBatch} DatagramBatch */

export class QuietHost {
  /** Waiting bytes for TCP, or datagrams for UDP. */
  waiting = 0
  /** Payload sent to the socket: bytes, or datagrams. */
  taken = 0
  /** Bytes of a datagram. */
  datagramBytes = 0
  /** The source of datagrams: the correspondent of the socket opened last. */
  #correspondent = new Demiflow(Interface.host)

  /** @param {import("@demiflow/core").Arena} arena */
  constructor(arena) {
    this.arena = arena
  }

  tcpConnect = () => SOCKET
  udpOpen = () => SOCKET
  separatesLoopback = () => false
  handOver = () => 0
  discard = (/** @type {number} */ _socket, /** @type {number} */ length) => length
  unacknowledged = () => 0
  unread = () => this.waiting
  sendBufferSize = () => SEND_BUFFER_BYTES
  connectOutcome = () => 0
  socketError = () => 0
  boundEnd = () => 0
  setHopLimit = () => 0
  setTrafficClass = () => 0
  setFragmentation = () => 0
  stopQueuingErrors = () => {}
  receiveError = () => 0
  close = () => {}

  /** @param {number} _socket @param {import("@demiflow/core").TcpInformation} into */
  tcpInformation(_socket, into) {
    into.minimumRtt = ROUND_TRIP
    return 0
  }

  /** @param {number} _socket @param {Vectors} vectors @param {number} first @param {number} count */
  send(_socket, vectors, first, count) {
    const length = sum(vectors, first, count)
    this.taken = (this.taken + length) & 0x3fffffff
    return length
  }

  /** @param {number} _socket @param {Vectors} vectors @param {number} first @param {number} count */
  peek(_socket, vectors, first, count) {
    const length = Math.min(sum(vectors, first, count), this.waiting)
    this.waiting -= length
    return length > 0 ? length : -Errno.EAGAIN
  }

  /** @param {number} _side @param {Demiflow} demiflow */
  udpBind(_side, demiflow) {
    this.#correspondent.copyFrom(demiflow)
    return SOCKET
  }

  /**
   * @param {number} socket @param {Demiflow} _to @param {number} _scope
   * @param {DatagramBatch} batch @param {number} first @param {number} count
   */
  sendDatagramsTo(socket, _to, _scope, batch, first, count) {
    return this.sendDatagrams(socket, batch, first, count)
  }

  /** @param {number} socket @param {DatagramBatch} batch @param {readonly Demiflow[]} ends @param {number} count */
  receiveFromAnyone(socket, batch, ends, count) {
    const got = this.receiveDatagrams(socket, batch, count)
    for (let index = 0; index < got; index++) {
      ends[index].correspondentAddress.copyFrom(this.#correspondent.correspondentAddress)
      ends[index].correspondentPort = this.#correspondent.correspondentPort
    }
    return got
  }

  /** @param {number} _socket @param {DatagramBatch} _batch @param {number} _first @param {number} count */
  sendDatagrams(_socket, _batch, _first, count) {
    this.taken = (this.taken + count) & 0x3fffffff
    return count
  }

  /** @param {number} _socket @param {DatagramBatch} batch @param {number} count */
  receiveDatagrams(_socket, batch, count) {
    const got = Math.min(count, this.waiting)
    for (let index = 0; index < got; index++) {
      batch.length[index] = this.datagramBytes
      batch.segmentSize[index] = 0
    }
    this.waiting -= got
    return got > 0 ? got : -Errno.EAGAIN
  }
}

/** @param {Vectors} vectors @param {number} first @param {number} count */
function sum(vectors, first, count) {
  let length = 0
  for (let index = first; index < first + count; index++) length += vectors.lengthAt(index)
  return length
}
