/** The ports of a namespace: forwarded into it, and out of it. */
import type { Configuration } from "@demiflow/config"
import type { Listeners, Log } from "@demiflow/core"
import { PortForwarding } from "@demiflow/flow"
import { AutoPorts, checkSpareDescriptors, type Machinery, openForwardedPorts } from "@demiflow/program/data-path"
import { BoundPorts, LinuxLocalPath, type NetworkNamespace } from "@demiflow/sys"

/**
 * The path for flows that are local at both ends; undefined if no port is forwarded, since no such flow can begin then.
 * Throws a `SystemError`.
 *
 * @param tapName name of the tap interface; undefined: there is none
 */
export function openLocalPath(
  { native, arena, loop, shares }: Machinery,
  { forwarding, splicing }: Configuration,
  namespace: NetworkNamespace,
  tapName: string | undefined,
): LinuxLocalPath | undefined {
  if (splicing === undefined || forwarding.length === 0) return undefined
  return new LinuxLocalPath(native, arena, loop, shares, namespace, tapName)
}

/**
 * Opens all ports, and starts following the ports that are bound, for rules that follow them. Throws `Quit` for a port
 * that can't be opened.
 */
export function openPorts(
  { native, arena }: Machinery,
  stack: Listeners,
  { forwarding: rules }: Configuration,
  namespace: NetworkNamespace,
  log: Pick<Log, "warning">,
): void {
  const forwarding = new PortForwarding(stack)
  openForwardedPorts(forwarding, rules)
  checkSpareDescriptors(native)
  if (!rules.some(({ isAuto }) => isAuto)) return
  const outside = new BoundPorts(native, arena)
  new AutoPorts(forwarding, outside, new BoundPorts(native, arena, namespace), log).start()
}
