/** What is set up in the network namespace. */
import { type Configuration, type NamespaceNetwork, TAP_INTERFACE_INDEX } from "@demiflow/config"
import type { Arena, NextHop } from "@demiflow/core"
import { Quit } from "@demiflow/program/command"
import { addAddress, addRoute, changeLink, type Native, NetlinkSocket, OpenFlag, readNetwork } from "@demiflow/sys"

const LOOPBACK_INDEX = 1

/**
 * Brings up the loopback interface, without which ports can't be bound on its addresses, and, if the configuration has
 * a network for the namespace, sets up the tap interface with it. Throws an error with a `code`.
 *
 * @param namespace descriptor of the network namespace
 * @param tapName name of the tap interface; undefined: there is none
 */
export function setUpNamespace(
  native: Native,
  arena: Arena,
  namespace: number,
  tapName: string | undefined,
  configuration: Configuration,
): void {
  const socket = new NetlinkSocket(native, arena, namespace)
  try {
    changeLink(socket, LOOPBACK_INDEX, { isUp: true })
    const network = configuration.namespace?.network
    const macAddress = configuration.namespace?.macAddress
    if (tapName === undefined || (network === undefined && macAddress === undefined)) return
    const index = readNetwork(socket).interfaces.find(({ name }) => name === tapName)?.index
    if (index === undefined) throw new Quit(`The network interface ${tapName} has disappeared from the namespace`)
    if (macAddress !== undefined) changeLink(socket, index, { macAddress })
    if (network === undefined) return
    disableDuplicateAddressDetection(native, arena, namespace, tapName)
    changeLink(socket, index, { mtu: configuration.mtu, isUp: true })
    setUpNetwork(socket, index, network)
  } finally {
    socket.close()
  }
}

function setUpNetwork(socket: NetlinkSocket, index: number, network: NamespaceNetwork): void {
  const here = (place: number): number => (place === TAP_INTERFACE_INDEX ? index : place)
  for (const entry of network.addresses) addAddress(socket, { ...entry, interfaceIndex: here(entry.interfaceIndex) })
  for (const route of network.routes) {
    const nextHops = route.nextHops.map((hop): NextHop => ({ ...hop, interfaceIndex: here(hop.interfaceIndex) }))
    addRoute(socket, { ...route, nextHops })
  }
}

/**
 * Has the kernel use the interface's own link-local address at once. It would spend a second or two on making sure that
 * nobody else has it (RFC 4862, section 5.4), when there is nobody else, and IPv6 would not work meanwhile.
 */
function disableDuplicateAddressDetection(native: Native, arena: Arena, namespace: number, tapName: string): void {
  const path = `/proc/sys/net/ipv6/conf/${tapName}/accept_dad`
  const descriptor = native.openInNamespace(namespace, path, OpenFlag.writeOnly)
  // Without IPv6 in the kernel there is no such file.
  if (descriptor < 0) return
  const zero = arena.reserve(1, 1)
  arena.bytes[zero] = "0".charCodeAt(0)
  native.write(descriptor, zero, 1)
  native.close(descriptor)
}
