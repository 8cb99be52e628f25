import {
  Address,
  type Arena,
  type DatagramBatch,
  Demiflow,
  Errno,
  hopLimitIn,
  Interface,
  type ListenerRef,
  type ListeningEnd,
  type SideRef,
  type Socket,
  type SocketError,
  type Sockets,
  trafficClassIn,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { cut } from "./strict-guest.ts"

/** A datagram, or several coalesced ones of `segmentSize` bytes. */
export interface HostDatagram {
  readonly bytes: Uint8Array
  readonly segmentSize: number
  /** Of received datagrams. */
  readonly trafficClass?: number
  /** Both ends, at sockets that accept datagrams from anybody. */
  readonly ends?: Demiflow
  /** Interface of a link-local correspondent; 0 if absent. */
  readonly scope?: number
}

/** An entry of an error queue, scripted by a test. */
export interface ScriptedError {
  readonly errno: number
  readonly origin: number
  readonly icmpType?: number
  readonly icmpCode?: number
  readonly information?: number
  readonly reporter?: string
  readonly payload?: Uint8Array
  /** The host's own address that the datagram left from, if the socket reports it. */
  readonly source?: string
  /** Destination of the datagram that caused the error; by default, that which the socket was opened for. */
  readonly destination?: { readonly address: string; readonly port: number }
}

/** Arena offset, marks and target of a sent entry. */
interface SentAs {
  readonly offset: number
  readonly hopLimit: number
  readonly trafficClass: number
  readonly dontFragment: boolean | undefined
  readonly to: Demiflow
}

/** One socket, with everything that happened to it. */
export class ScriptedSocket {
  /** The side of a flow, or the listener, that events are reported to. */
  side: SideRef
  /** True if `side` is a listener. */
  isListening: boolean
  /** The side that the socket was opened for. */
  readonly demiflow: Demiflow
  /** True if the socket isn't connected. */
  readonly hearsAnyone: boolean
  /** True if it has its port for both versions of IP. */
  readonly isDualStack: boolean
  /** What was sent: arena offset, target and marks of each entry; and how many entries each call had. */
  readonly sent: (HostDatagram & SentAs)[] = []
  readonly sendingCalls: number[] = []
  /** Results of the next send calls: a negated error number refuses the first entry; Infinity takes all. */
  readonly sendingAnswers: number[] = []
  /** For each refusal to come, how many datagrams of the first entry the refusing call sends. */
  readonly sentBeforeRefusal: number[] = []
  /** Datagrams to receive, and results of receive calls before that. */
  readonly incoming: HostDatagram[] = []
  readonly receivingAnswers: number[] = []
  readonly receivingCalls: number[] = []
  readonly errors: ScriptedError[] = []
  dontFragment: boolean | undefined = undefined
  fragmentationCalls = 0
  isOpen = true

  /** Payloads sent; coalesced ones one by one. */
  get datagrams(): Uint8Array[] {
    return this.sent.flatMap(({ bytes, segmentSize }) => cut(bytes, segmentSize))
  }

  constructor(side: SideRef, demiflow: Demiflow, hearsAnyone: boolean, isListening: boolean, isDualStack: boolean) {
    this.side = side
    this.demiflow = demiflow
    this.hearsAnyone = hearsAnyone
    this.isDualStack = isDualStack
    this.isListening = isListening
  }

  /** Makes the next `count` send calls return an error, each of which leaves its entry in the error queue. */
  reportWithAnswers(count: number, report: ScriptedError): void {
    const { errors, sendingAnswers } = this
    sendingAnswers.push(...Array.from({ length: count }, () => -report.errno))
    sendingAnswers.shift = () => {
      const answer = Array.prototype.shift.call(sendingAnswers)
      if (answer !== undefined) errors.push(report)
      return answer
    }
  }
}

/** A host whose sockets do what a test says. Any use of a closed socket throws. */
export class ScriptedHost
  implements
    Pick<
      Sockets,
      | "udpOpen"
      | "udpListen"
      | "udpBind"
      | "handOver"
      | "separatesLoopback"
      | "sendDatagrams"
      | "sendDatagramsTo"
      | "receiveDatagrams"
      | "receiveFromAnyone"
    >
{
  readonly arena: Arena
  readonly sockets: ScriptedSocket[] = []
  /** Results of the next calls that open a socket; 0 opens. */
  readonly openingAnswers: number[] = []
  /** {@link ScriptedSocket.sendingAnswers} of the socket that is opened next. */
  readonly nextSendingAnswers: number[] = []
  /** The sides that sockets were requested for, successfully or not. */
  readonly opened: Demiflow[] = []
  /** The next port of the host's own choice. */
  nextPort = 50_000
  isHeldToInterface = false
  /** The host's own addresses, for a connected socket that was given none. */
  readonly ownV4: Address = Address.parse("192.0.2.1")
  readonly ownV6: Address = Address.parse("2001:db8::1")
  readonly #errorSpace: number
  readonly #firstDescriptor: number

  /** @param firstDescriptor number of the first socket: another host has others */
  constructor(arena: Arena, firstDescriptor = 0) {
    this.arena = arena
    this.#firstDescriptor = firstDescriptor
    this.#errorSpace = arena.reserve(2048)
  }

  get openSockets(): number {
    return this.sockets.filter(({ isOpen }) => isOpen).length
  }

  /** As the whole interface: TCP's calls are missing, and fail a test that uses them. */
  get asHost(): Sockets {
    return this as unknown as Sockets
  }

  udpOpen(side: SideRef, demiflow: Demiflow): Socket {
    return this.#open(side, demiflow, false)
  }

  udpListen(listener: ListenerRef, end: ListeningEnd): Socket {
    const any = end.address ?? UNSPECIFIED_V6
    const nobody = any.isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6
    const demiflow = Demiflow.of(Interface.host, any, end.port, nobody, 0)
    return this.#open(listener as number as SideRef, demiflow, true, true, end.address === undefined)
  }

  udpBind(side: SideRef, demiflow: Demiflow): Socket {
    const socket = this.#open(side, demiflow, true)
    if (socket >= 0) {
      const { demiflow: bound } = this.#find(socket)
      if (bound.forwardingPort === 0) bound.forwardingPort = this.nextPort++
    }
    return socket
  }

  boundEnd(socket: Socket, demiflow: Demiflow): number {
    const { forwardingPort, correspondentAddress, isV4 } = this.#find(socket).demiflow
    demiflow.forwardingPort = forwardingPort
    if (demiflow.forwardingAddress.isUnspecified) {
      const own = isV4 ? this.ownV4 : this.ownV6
      demiflow.forwardingAddress.copyFrom(correspondentAddress.isLoopback ? correspondentAddress : own)
    }
    return 0
  }

  separatesLoopback(): boolean {
    return this.isHeldToInterface
  }

  handOver(socket: Socket, side: SideRef): void {
    const state = this.#find(socket)
    state.side = side
    state.isListening = false
  }

  sendDatagrams(socket: Socket, batch: DatagramBatch, first: number, count: number): number {
    const state = this.#find(socket)
    if (state.hearsAnyone) throw new Error(`socket ${socket} isn't connected`)
    return this.#send(state, state.demiflow, batch, first, count)
  }

  sendDatagramsTo(
    socket: Socket,
    demiflow: Demiflow,
    _scope: number,
    batch: DatagramBatch,
    first: number,
    count: number,
  ): number {
    const state = this.#find(socket)
    if (!state.hearsAnyone) throw new Error(`socket ${socket} is connected`)
    return this.#send(state, demiflow.clone(), batch, first, count)
  }

  #send(state: ScriptedSocket, to: Demiflow, batch: DatagramBatch, first: number, count: number): number {
    state.sendingCalls.push(count)
    const answer = state.sendingAnswers.shift() ?? Number.POSITIVE_INFINITY
    if (answer < 0) {
      const segmentSize = batch.segmentSize[first]
      const bytes = (state.sentBeforeRefusal.shift() ?? 0) * segmentSize
      if (bytes > 0) this.#sendEntry(state, to, batch, first, bytes)
      batch.offset[first] += bytes
      batch.length[first] -= bytes
      if (batch.length[first] <= segmentSize) batch.segmentSize[first] = 0

      return answer
    }
    const taken = Math.min(answer, count)
    for (let index = first; index < first + taken; index++) {
      this.#sendEntry(state, to, batch, index, batch.length[index])
    }
    return taken
  }

  #sendEntry(state: ScriptedSocket, to: Demiflow, batch: DatagramBatch, index: number, length: number): void {
    const offset = batch.offset[index]
    const bytes = this.arena.bytes.slice(offset, offset + length)
    const hopLimit = hopLimitIn(batch.marks)
    const trafficClass = trafficClassIn(batch.marks)
    const { dontFragment } = state
    state.sent.push({ bytes, segmentSize: batch.segmentSize[index], offset, hopLimit, trafficClass, dontFragment, to })
  }

  receiveDatagrams(socket: Socket, batch: DatagramBatch, count: number): number {
    const state = this.#find(socket)
    if (state.hearsAnyone) throw new Error(`socket ${socket} is connected to nobody`)
    return this.#receive(state, batch, count)
  }

  receiveFromAnyone(socket: Socket, batch: DatagramBatch, ends: readonly Demiflow[], count: number): number {
    const state = this.#find(socket)
    if (!state.hearsAnyone) throw new Error(`socket ${socket} hears its correspondent only`)
    for (const [index, { ends: own, scope = 0 }] of state.incoming.slice(0, count).entries()) {
      ends[index].copyFrom(own ?? state.demiflow)
      batch.scope[index] = scope
    }
    return this.#receive(state, batch, count)
  }

  #receive(state: ScriptedSocket, batch: DatagramBatch, count: number): number {
    state.receivingCalls.push(count)
    const answer = state.receivingAnswers.shift()
    if (answer !== undefined) return answer
    const received = Math.min(count, state.incoming.length)
    if (received === 0) return -Errno.EAGAIN
    for (const [index, { bytes, segmentSize, trafficClass }] of state.incoming.splice(0, received).entries()) {
      this.arena.bytes.set(bytes.subarray(0, batch.length[index]), batch.offset[index])
      batch.length[index] = bytes.length
      batch.segmentSize[index] = segmentSize
      batch.trafficClass[index] = trafficClass ?? 0
    }
    return received
  }

  receiveError(socket: Socket, into: SocketError): number {
    const state = this.#find(socket)
    const entry = state.errors.shift()
    if (entry === undefined) return 0
    const { correspondentAddress, correspondentPort } = state.demiflow
    into.destination.copyFrom(entry.destination ? Address.parse(entry.destination.address) : correspondentAddress)
    into.destinationPort = entry.destination?.port ?? correspondentPort
    const payload = entry.payload ?? new Uint8Array()
    this.arena.bytes.set(payload, this.#errorSpace)
    into.errno = entry.errno
    into.origin = entry.origin
    into.icmpType = entry.icmpType ?? 0
    into.icmpCode = entry.icmpCode ?? 0
    into.information = entry.information ?? 0
    into.reporter.copyFrom(entry.reporter === undefined ? new Address() : Address.parse(entry.reporter))
    into.source.copyFrom(entry.source === undefined ? new Address() : Address.parse(entry.source))
    into.payloadOffset = this.#errorSpace
    into.payloadLength = payload.length
    return 1
  }

  setFragmentation(socket: Socket, _isV4: boolean, isAllowed: boolean): number {
    const state = this.#find(socket)
    state.dontFragment = !isAllowed
    state.fragmentationCalls++
    return 0
  }

  close(socket: Socket): void {
    this.#find(socket).isOpen = false
  }

  #open(side: SideRef, demiflow: Demiflow, hearsAnyone: boolean, isListening = false, isDualStack = false): Socket {
    this.opened.push(demiflow.clone())
    const answer =
      this.openingAnswers.shift() ?? (hearsAnyone && this.#isTaken(demiflow, isDualStack) ? -Errno.EADDRINUSE : 0)
    if (answer < 0) return answer as Socket
    const state = new ScriptedSocket(side, demiflow.clone(), hearsAnyone, isListening, isDualStack)
    state.sendingAnswers.push(...this.nextSendingAnswers.splice(0))
    return (this.#firstDescriptor + this.sockets.push(state) - 1) as Socket
  }

  /** True if an unconnected socket has a part of the end. */
  #isTaken({ forwardingAddress: address, forwardingPort, isV4 }: Demiflow, isDualStack: boolean): boolean {
    return this.sockets.some(({ isOpen, hearsAnyone, demiflow, isDualStack: isOtherDualStack }) => {
      if (!isOpen || !hearsAnyone || forwardingPort === 0 || demiflow.forwardingPort !== forwardingPort) return false
      if (isDualStack || isOtherDualStack) return true
      const other = demiflow.forwardingAddress
      return demiflow.isV4 === isV4 && (address.isUnspecified || other.isUnspecified || other.equals(address))
    })
  }

  #find(socket: Socket): ScriptedSocket {
    const state = this.sockets[socket - this.#firstDescriptor]
    if (state?.isOpen !== true) throw new Error(`socket ${socket} is not open`)
    return state
  }
}
