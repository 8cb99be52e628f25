/** What is the same for TCP and UDP: how a request for a port arrives. */
import type { Place } from "./places.ts"
import { TCP_PORT, tcpClient, UDP_PORT, udpClient } from "./servers.ts"
import { type Family, ipv4, ipv6 } from "./topology.ts"

/** As whose a request arrives, and at which port of the server; or the error code in its stead. */
export type Arrival = { readonly from: string; readonly port: number } | { readonly error: string }

export interface Protocol {
  readonly name: "TCP" | "UDP"
  /** The port of its server. */
  readonly port: number
  readonly server: "tcp-server" | "udp-server"
  /** The options for ports of the host, and of the namespace. */
  readonly inbound: "-t" | "-u"
  readonly outbound: "-T" | "-U"
  /** Asks at this address and port, from this address if it matters. */
  arrival(place: Place, address: string, port: number, from?: string): Promise<Arrival>
}

const familyOf = (address: string): Family => (address.includes(":") ? ipv6 : ipv4)

export const tcp: Protocol = {
  name: "TCP",
  port: TCP_PORT,
  server: "tcp-server",
  inbound: "-t",
  outbound: "-T",
  arrival: (place, address, port, from) =>
    tcpClient(place, familyOf(address), { scenario: "arrival", address, port, from }),
}

export const udp: Protocol = {
  name: "UDP",
  port: UDP_PORT,
  server: "udp-server",
  inbound: "-u",
  outbound: "-U",
  arrival: (place, address, port, from) =>
    udpClient(place, familyOf(address), { scenario: "arrival", address, port, from }),
}

export const protocols: readonly Protocol[] = [tcp, udp]

/** Nothing listens there. */
export const refused: Arrival = { error: "ECONNREFUSED" }

/** Everywhere in a place, at these ports. */
export function atPorts(ports: readonly number[]): readonly { readonly address: string; readonly port: number }[] {
  return ["0.0.0.0", "::"].flatMap((address) => ports.map((port) => ({ address, port })))
}
