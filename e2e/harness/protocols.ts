/** The common interface of TCP and UDP tests: how a request to a port arrives. */
import type { Place } from "./places.ts"
import { TCP_PORT, tcpClient, UDP_PORT, udpClient } from "./servers.ts"
import { type Family, ipv4, ipv6 } from "./topology.ts"

/** The source that the server sees, and the server's port; or the error code instead. */
export type Arrival = { readonly from: string; readonly port: number } | { readonly error: string }

export interface Protocol {
  readonly name: "TCP" | "UDP"
  /** The port of its server. */
  readonly port: number
  readonly server: "tcp-server" | "udp-server"
  /** The options for ports of the host, and of the namespace. */
  readonly fromHost: "-t" | "-u"
  readonly fromGuest: "-T" | "-U"
  /** Sends a request to this address and port, from a given address if it matters. */
  arrival(place: Place, address: string, port: number, from?: string): Promise<Arrival>
}

const familyOf = (address: string): Family => (address.includes(":") ? ipv6 : ipv4)

export const tcp: Protocol = {
  name: "TCP",
  port: TCP_PORT,
  server: "tcp-server",
  fromHost: "-t",
  fromGuest: "-T",
  arrival: (place, address, port, from) =>
    tcpClient(place, familyOf(address), { scenario: "arrival", address, port, from }),
}

export const udp: Protocol = {
  name: "UDP",
  port: UDP_PORT,
  server: "udp-server",
  fromHost: "-u",
  fromGuest: "-U",
  arrival: (place, address, port, from) =>
    udpClient(place, familyOf(address), { scenario: "arrival", address, port, from }),
}

export const protocols: readonly Protocol[] = [tcp, udp]

/** A port at which nothing listens. */
export const refused: Arrival = { error: "ECONNREFUSED" }

/** Servers on every address of a place, at these ports. */
export function atPorts(ports: readonly number[]): readonly { readonly address: string; readonly port: number }[] {
  return ["0.0.0.0", "::"].flatMap((address) => ports.map((port) => ({ address, port })))
}
