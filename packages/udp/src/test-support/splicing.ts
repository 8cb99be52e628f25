import { Interface, type InterfaceId, type ListenerRef, SocketEvent } from "@demiflow/core"
import type { ForwardingRules } from "@demiflow/flow"
import { Bench, type BenchOptions, datagramsOf } from "./bench.ts"
import { families } from "./families.ts"
import type { HostDatagram, ScriptedHost, ScriptedSocket } from "./scripted-host.ts"

/** Rules by which local flows are spliced, to the namespace's public addresses. */
export const SPLICING: ForwardingRules = {
  v4: {},
  v6: {},
  splicing: { takesFromHost: true, keepsLoopback: false, isOnly: false },
}
/** The same, to the namespace's loopback. */
export const SPLICING_TO_LOOPBACK: ForwardingRules = {
  ...SPLICING,
  splicing: { takesFromHost: true, keepsLoopback: true, isOnly: false },
}

/** A direction of the local path, over one version of IP. */
export interface Direction {
  readonly name: string
  /** The interface at which datagrams arrive. */
  readonly place: InterfaceId
  readonly rules: ForwardingRules
  readonly loopback: string
  /** Address at which the target listens. */
  readonly target: string
  /** The unspecified address. */
  readonly any: string
}

/** Every direction over each version of IP. */
export const directions: readonly Direction[] = Object.entries(families).flatMap(([version, { guest }]) => {
  const isV4 = version === "IPv4"
  const loopback = isV4 ? "127.0.0.1" : "::1"
  const any = isV4 ? "0.0.0.0" : "::"
  const fromHost = { place: Interface.host, loopback, any }
  return [
    { ...fromHost, name: `host to namespace, ${version}`, rules: SPLICING, target: guest },
    { ...fromHost, name: `host to namespace's loopback, ${version}`, rules: SPLICING_TO_LOOPBACK, target: loopback },
    { ...fromHost, place: Interface.splice, name: `namespace to host, ${version}`, rules: SPLICING, target: loopback },
  ]
})

/** A bench that listens at one end of the local path. */
export interface SplicingBench {
  readonly bench: Bench
  /** The host where datagrams arrive, and the one where they go. */
  readonly near: ScriptedHost
  readonly far: ScriptedHost
  readonly listener: ScriptedSocket
  /** Makes datagrams from a port arrive at the listening socket. */
  arrive(port: number, ...payloads: Uint8Array[]): void
  /** Begins a flow from a port. */
  begin(port: number): Sockets
  /** Makes datagrams arrive at a socket; at the listening one, from where the last flow began. */
  deliver(socket: ScriptedSocket, ...datagrams: (Uint8Array | HostDatagram)[]): void
}

/** The sockets of a spliced flow. */
export interface Sockets {
  /** Makes further datagrams arrive from where the flow began. */
  ask(...payloads: Uint8Array[]): void
  /** The listening socket, which answers leave from. */
  readonly answering: ScriptedSocket
  /** The socket to the target. */
  readonly opened: ScriptedSocket
}

/** Listens at port 5000 for port 53 of the other end. */
export function splicingBench(direction: Direction, options: BenchOptions = {}): SplicingBench {
  const bench = new Bench({ hasLocalPath: true, rules: direction.rules, ...options })
  const [near, far] =
    direction.place === Interface.host ? [bench.sockets, bench.namespace] : [bench.namespace, bench.sockets]
  const listener = bench.listen(5000, 53, {}, undefined, direction.place)
  const { loopback } = direction
  const arrive = (port: number, ...payloads: Uint8Array[]) =>
    bench.fromAnyone(listener, loopback, port, loopback, ...payloads)
  let lastPort = 0
  const hear = (port: number, datagrams: readonly (Uint8Array | HostDatagram)[]) => {
    const [{ ends }] = datagramsOf(listener, loopback, port, loopback, new Uint8Array())
    listener.incoming.push(...datagrams.map((datagram) => ({ ...toDatagram(datagram), ends })))
    if (listener.isListening) bench.listenerEvent(listener)
    else bench.event(listener, SocketEvent.readable)
  }
  return {
    bench,
    near,
    far,
    listener,
    arrive,
    begin(port) {
      arrive(port, new Uint8Array([1]))
      lastPort = port
      const opened = far.sockets.at(-1)
      if (opened === undefined) throw new Error("no flow began")
      opened.sent.length = 0
      opened.sendingCalls.length = listener.receivingCalls.length = 0
      return {
        ask: (...payloads) => hear(port, payloads),
        answering: listener,
        opened,
      }
    },
    deliver(socket, ...datagrams) {
      if (socket === listener) return hear(lastPort, datagrams)
      socket.incoming.push(...datagrams.map(toDatagram))
      bench.event(socket, SocketEvent.readable)
    },
  }
}

function toDatagram(datagram: Uint8Array | HostDatagram): HostDatagram {
  return datagram instanceof Uint8Array ? { bytes: datagram, segmentSize: 0 } : datagram
}

/** Returns the number of a listener, for calls of the stack. */
export function refOf(listener: ScriptedSocket): ListenerRef {
  return listener.side as number as ListenerRef
}
