/** Ports of the host that lead to the guest. */
import { type Address, Errno, Interface, IpProtocol } from "@demiflow/core"
import { type ForwardingRule, PortForwarding } from "@demiflow/flow"
import type { Stack } from "@demiflow/stack"
import { GatewayError, optionError } from "./gateway-error.ts"
import { type AddressLike, toAddress } from "./networks.ts"

/** A port of the host, and where it leads. */
export interface ForwardOptions {
  readonly protocol: "tcp" | "udp"
  /** 1–65535. */
  readonly port: number
  /** The host's address to listen at; any address of both versions of IP if not given. */
  readonly address?: AddressLike | undefined
  /** The guest's port, or its address and port; the same port of the guest if not given. */
  readonly to?: number | { readonly address?: AddressLike; readonly port: number } | undefined
}

/** A forwarded port, until it is taken back. */
export interface ForwardedPort extends Disposable {
  readonly protocol: "tcp" | "udp"
  readonly port: number
  /** Stops listening. TCP connections that began there go on; UDP flows end. Later calls do nothing. */
  close(): void
}

const HIGHEST_PORT = 65_535
const PROTOCOLS: Readonly<Record<string, number>> = { tcp: IpProtocol.tcp, udp: IpProtocol.udp }

/** The forwarded ports of a gateway. */
export class ForwardedPorts {
  readonly #forwarding: PortForwarding

  constructor(stack: Stack) {
    this.#forwarding = new PortForwarding(stack)
  }

  /** Throws a `GatewayError`: `ERR_GATEWAY_OPTION`, or `ERR_GATEWAY_PORT` for a port that can't be opened. */
  add(options: ForwardOptions): ForwardedPort {
    const rule = toRule(options)
    const { protocol, port } = options
    const { failure } = this.#forwarding.add(rule)
    if (failure !== undefined) {
      const reason = nameOf(failure.errno)
      throw new GatewayError("ERR_GATEWAY_PORT", `Port ${port} of ${protocol} can't be opened: ${reason}`)
    }
    const close = (): void => {
      this.#forwarding.remove(rule)
    }
    return { protocol, port, close, [Symbol.dispose]: close }
  }
}

function toRule({ protocol: name, port, address, to = port }: ForwardOptions): ForwardingRule {
  const protocol = Object.hasOwn(PROTOCOLS, name) ? PROTOCOLS[name] : undefined
  if (protocol === undefined) throw optionError(`protocol is ${JSON.stringify(name)}: it must be "tcp" or "udp"`)
  const target = typeof to === "object" ? to : { port: to }
  checkPort("port", port)
  checkPort("to", target.port)
  const listenAddress = address === undefined ? undefined : toAddress("address", address)
  const targetAddress = target.address === undefined ? undefined : toAddress("to.address", target.address)
  checkVersions(listenAddress, targetAddress)
  return {
    interface: Interface.host,
    protocol,
    address: listenAddress,
    interfaceName: undefined,
    firstPort: port,
    lastPort: port,
    targetAddress,
    firstTargetPort: target.port,
    isBestEffort: false,
    isAuto: false,
    freebind: false,
  }
}

function checkPort(name: string, port: number): void {
  if (Number.isInteger(port) && port >= 1 && port <= HIGHEST_PORT) return
  throw optionError(`${name} is ${port}: it must be a port from 1 to ${HIGHEST_PORT}`)
}

function checkVersions(address: Address | undefined, target: Address | undefined): void {
  if (address === undefined || target === undefined || address.isV4 === target.isV4) return
  throw optionError(`address is ${address} and to.address is ${target}: both must be of one version of IP`)
}

function nameOf(errno: number): string {
  const known = Object.entries(Errno).find(([, value]) => value === errno)
  return known?.[0] ?? `error ${errno}`
}
