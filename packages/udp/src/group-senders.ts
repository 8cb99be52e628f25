import { Demiflow, type FlowTable, type Host, Interface, type SharedPort } from "@demiflow/core"
import { sourceTowards } from "./source-towards.ts"
import type { GroupSource, ToGroup, UdpFlow } from "./state.ts"

/**
 * The guest's flows to groups, by the host's ports that they leave from, and the addresses that they come from there. The
 * host's kernel hands such datagrams to its own sockets too, so that its programs hear them, and a listening port of ours is
 * one of these: what the guest has sent must not come back to it there.
 *
 * A guest may have as many such flows at one port as the flow table has places, so none is searched for: those of one port
 * are a list that leads through the flows, and their addresses, which are the host's and few, are counted.
 */
export class GroupSenders {
  readonly #host: Host
  readonly #flows: Pick<FlowTable, "readSide">
  readonly #newest = new Map<SharedPort, ToGroup>()
  /** By the host's port number. */
  readonly #sources = new Map<number, GroupSource[]>()
  readonly #side = new Demiflow(Interface.host)

  constructor(host: Host, flows: Pick<FlowTable, "readSide">) {
    this.#host = host
    this.#flows = flows
  }

  /** A flow to a group has begun at a port. */
  add(flow: UdpFlow, port: SharedPort): void {
    const older = this.#newest.get(port)
    const toGroup = { flow, port, source: undefined, datagrams: 0, older, newer: undefined }
    flow.toGroup = toGroup
    if (older !== undefined) older.newer = toGroup
    this.#newest.set(port, toGroup)
  }

  /**
   * The guest has sent on a flow. Finds out from where, if the flow leads to a group. If that fails, the second, the fourth, the
   * eighth … datagram asks again: where the host never says it, that costs next to nothing.
   */
  heard({ toGroup }: UdpFlow): void {
    if (toGroup === undefined || toGroup.source !== undefined) return
    const attempt = ++toGroup.datagrams
    if ((attempt & (attempt - 1)) === 0) this.#findSource(toGroup)
  }

  /** Apart from `heard`, which every datagram calls: what has a closure allocates memory for its variables as soon as it is called. */
  #findSource(toGroup: ToGroup): void {
    const side = this.#side
    this.#flows.readSide(toGroup.flow.hostSide, side)
    const address = sourceTowards(this.#host, side)
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

  /** A flow has ended, whether to a group or not. */
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

  /** The newest flow to a group at a port: its answers may come from anybody. */
  newestAt(port: SharedPort): UdpFlow | undefined {
    return this.#newest.get(port)?.flow
  }

  /** True if datagrams from there are those of such a flow. */
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
