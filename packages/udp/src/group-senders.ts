import { Demiflow, type FlowTable, Interface, type Sockets } from "@demiflow/core"
import type { SharedPort } from "@demiflow/protocol-kit"
import { sourceTowards } from "./source-towards.ts"
import type { GroupSource, ToGroup, UdpFlow } from "./state.ts"

/**
 * Records the guest's flows to groups, by the host's ports that they leave from, and the source addresses of their
 * datagrams. The host's kernel delivers such datagrams to its own sockets too, so that its programs receive them. A
 * listening port of ours may be one of these: the guest's own datagrams must not come back to it there.
 *
 * A guest may have as many such flows at one port as the flow table has places, so nothing is searched: the flows of
 * one port form a linked list, and their source addresses, which are the host's and few, are counted.
 */
export class GroupSenders {
  readonly #sockets: Sockets
  readonly #flows: Pick<FlowTable, "readSide">
  readonly #newest = new Map<SharedPort, ToGroup>()
  /** Source addresses, by the host's port number. */
  readonly #sources = new Map<number, GroupSource[]>()
  readonly #side = new Demiflow(Interface.host)

  constructor(sockets: Sockets, flows: Pick<FlowTable, "readSide">) {
    this.#sockets = sockets
    this.#flows = flows
  }

  /** Adds a flow to a group that has begun at a port. */
  add(flow: UdpFlow, port: SharedPort): void {
    const older = this.#newest.get(port)
    const toGroup = { flow, port, source: undefined, datagrams: 0, older, newer: undefined }
    flow.toGroup = toGroup
    if (older !== undefined) older.newer = toGroup
    this.#newest.set(port, toGroup)
  }

  /**
   * Finds out the source address of a flow to a group after the guest has sent on it. If that fails, the second, the
   * fourth, the eighth … sequence tries again: where the host never reports the address, that costs next to nothing.
   */
  heard({ toGroup }: UdpFlow): void {
    if (toGroup === undefined || toGroup.source !== undefined) return
    const attempt = ++toGroup.datagrams
    if ((attempt & (attempt - 1)) === 0) this.#findSource(toGroup)
  }

  /**
   * Apart from `heard`, which every sequence calls: a function with a closure allocates its context as soon as it is
   * called.
   */
  #findSource(toGroup: ToGroup): void {
    const side = this.#side
    this.#flows.readSide(toGroup.flow.hostSide, side)
    const address = sourceTowards(this.#sockets, side)
    if (address === undefined) return
    const { number } = toGroup.port
    let sources = this.#sources.get(number)
    if (sources === undefined) {
      sources = []
      this.#sources.set(number, sources)
    }
    let source = sources.find((known) => known.address.equals(address))
    if (source === undefined) {
      source = { address, count: 0 }
      sources.push(source)
    }
    source.count++
    toGroup.source = source
  }

  /** Removes a flow that has ended, whether to a group or not. */
  remove(flow: UdpFlow): void {
    const { toGroup } = flow
    if (toGroup === undefined) return
    const { newer, older, port, source } = toGroup
    if (older !== undefined) older.newer = newer
    if (newer !== undefined) newer.older = older
    else if (older !== undefined) this.#newest.set(port, older)
    else this.#newest.delete(port)
    if (source !== undefined) this.#leave(port.number, source)
    flow.toGroup = undefined
  }

  /** Returns the newest flow to a group at a port: anybody may answer it. */
  newestAt(port: SharedPort): UdpFlow | undefined {
    return this.#newest.get(port)?.flow
  }

  /** True if a datagram from this correspondent is one that the guest has sent to a group. */
  have({ correspondentAddress, correspondentPort }: Demiflow): boolean {
    const sources = this.#sources.get(correspondentPort)
    if (sources === undefined) return false
    for (const { address } of sources) if (address.equals(correspondentAddress)) return true
    return false
  }

  #leave(number: number, source: GroupSource): void {
    if (--source.count > 0) return
    const sources = this.#sources.get(number)
    if (sources === undefined) return
    sources.splice(sources.indexOf(source), 1)
    if (sources.length === 0) this.#sources.delete(number)
  }
}
