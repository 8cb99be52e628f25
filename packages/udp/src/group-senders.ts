import { Demiflow, type FlowTable, type Host, Interface, type SharedPort } from "@demiflow/core"
import { sourceTowards } from "./source-towards.ts"
import type { GroupSource, UdpFlow } from "./state.ts"

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
  readonly #newest = new Map<SharedPort, UdpFlow>()
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
    flow.groupPort = port
    flow.groupDatagrams = 0
    flow.olderToGroup = older
    if (older !== undefined) older.newerToGroup = flow
    this.#newest.set(port, flow)
  }

  /**
   * The guest has sent on a flow. Finds out from where, if the flow leads to a group. If that fails, the second, the fourth, the
   * eighth … datagram asks again: where the host never says it, that costs next to nothing.
   */
  heard(flow: UdpFlow): void {
    const { groupPort, groupSource } = flow
    if (groupPort === undefined || groupSource !== undefined) return
    const attempt = ++flow.groupDatagrams
    if ((attempt & (attempt - 1)) === 0) this.#findSource(flow, groupPort)
  }

  /** Apart from `heard`, which every datagram calls: what has a closure allocates memory for its variables as soon as it is called. */
  #findSource(flow: UdpFlow, groupPort: SharedPort): void {
    const side = this.#side
    this.#flows.readSide(flow.hostSide, side)
    const address = sourceTowards(this.#host, side)
    if (address === undefined) return
    let sources = this.#sources.get(groupPort.number)
    if (sources === undefined) {
      sources = []
      this.#sources.set(groupPort.number, sources)
    }
    let source = sources.find((known) => known.address.equals(address))
    if (source === undefined) {
      source = { address, count: 0 }
      sources.push(source)
    }
    source.count++
    flow.groupSource = source
  }

  /** A flow has ended, whether to a group or not. */
  remove(flow: UdpFlow): void {
    const { groupPort, groupSource, newerToGroup, olderToGroup } = flow
    if (groupPort === undefined) return
    if (olderToGroup !== undefined) olderToGroup.newerToGroup = newerToGroup
    if (newerToGroup !== undefined) newerToGroup.olderToGroup = olderToGroup
    else if (olderToGroup !== undefined) this.#newest.set(groupPort, olderToGroup)
    else this.#newest.delete(groupPort)
    if (groupSource !== undefined) this.#leave(groupPort.number, groupSource)
    flow.groupPort = flow.groupSource = flow.newerToGroup = flow.olderToGroup = undefined
  }

  /** The newest flow to a group at a port: its answers may come from anybody. */
  newestAt(port: SharedPort): UdpFlow | undefined {
    return this.#newest.get(port)
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
