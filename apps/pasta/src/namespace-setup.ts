import { type Configuration, type NamespaceNetwork, TAP_INTERFACE_INDEX } from "@demiflow/config"
import type { Arena, NextHop } from "@demiflow/core"
import { addAddress, addRoute, changeLink, checkResult, type Native, NetlinkSocket, readNetwork } from "@demiflow/sys"

const LOOPBACK_INDEX = 1

/** Opens the tap interface... placeholder */
export function configureNamespace(
  native: Native,
  arena: Arena,
  namespace: number,
  configuration: Configuration,
): void {
  const socket = new NetlinkSocket(native, arena, namespace)
  changeLink(socket, LOOPBACK_INDEX, { isUp: true })
  const { namespace: wanted } = configuration
  if (wanted === undefined) return
  const tap = checkResult(native.openInNamespace(namespace, "/dev/net/tun", 2), "open /dev/net/tun")
  const request = arena.reserve(64, 8)
  arena.bytes.fill(0, request, request + 64)
  arena.bytes.set(new TextEncoder().encode(wanted.interfaceName), request)
  arena.view.setUint16(request + 16, 0x1002, true)
  checkResult(native.ioctl(tap, 0x400454ca, request), `make ${wanted.interfaceName}`)
  const index = readNetwork(socket).interfaces.find(({ name }) => name === wanted.interfaceName)?.index ?? 0
  if (wanted.network !== undefined) {
    changeLink(socket, index, { mtu: configuration.mtu, macAddress: wanted.macAddress, isUp: true })
    setUpNetwork(socket, index, wanted.network)
  }
}

function setUpNetwork(socket: NetlinkSocket, index: number, network: NamespaceNetwork): void {
  const here = (place: number) => (place === TAP_INTERFACE_INDEX ? index : place)
  for (const entry of network.addresses) addAddress(socket, { ...entry, interfaceIndex: here(entry.interfaceIndex) })
  for (const route of network.routes) {
    const nextHops = route.nextHops.map((hop): NextHop => ({ ...hop, interfaceIndex: here(hop.interfaceIndex) }))
    addRoute(socket, { ...route, nextHops })
  }
}
