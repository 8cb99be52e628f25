import type { Address, Demiflow, Host, SharedPort } from "@demiflow/core"
import { sourceTowards } from "./source-towards.ts"
import type { UdpFlow } from "./state.ts"

interface Sender {
  readonly address: Address
  readonly flow: UdpFlow
}

/**
 * Where the guest's datagrams to groups come from, on the host. The host's kernel hands them to its own sockets too, so that its
 * programs hear them, and a listening port of ours is one of these: what the guest has sent must not come back to it there.
 */
export class GroupSenders {
  readonly #host: Host
  /** By the host's port. */
  readonly #byPort = new Map<number, Sender[]>()
  readonly #ports = new Map<UdpFlow, number>()

  constructor(host: Host) {
    this.#host = host
  }

  /**
   * A flow to a group has begun.
   *
   * @param target its side of the host
   */
  add(flow: UdpFlow, target: Demiflow): void {
    const address = sourceTowards(this.#host, target)
    const port = flow.port?.number
    if (address === undefined || port === undefined) return
    const senders = this.#byPort.get(port)
    if (senders === undefined) this.#byPort.set(port, [{ address, flow }])
    else senders.push({ address, flow })
    this.#ports.set(flow, port)
  }

  /** A flow has ended, whether to a group or not. */
  remove(flow: UdpFlow): void {
    const port = this.#ports.get(flow)
    if (port === undefined) return
    this.#ports.delete(flow)
    const left = this.#byPort.get(port)?.filter((sender) => sender.flow !== flow) ?? []
    if (left.length > 0) this.#byPort.set(port, left)
    else this.#byPort.delete(port)
  }

  /** The newest flow to a group at a port: its answers may come from anybody. */
  newestAt(port: SharedPort): UdpFlow | undefined {
    return this.#byPort
      .get(port.number)
      ?.filter(({ flow }) => flow.port === port)
      .at(-1)?.flow
  }

  /** True if datagrams from there are those of such a flow. */
  have({ correspondentAddress, correspondentPort }: Demiflow): boolean {
    return this.#byPort.get(correspondentPort)?.some(({ address }) => address.equals(correspondentAddress)) ?? false
  }
}
