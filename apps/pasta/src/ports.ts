/** The ports of a namespace: those that lead there, and those that lead out of it. */
import type { Configuration } from "@demiflow/config"
import type { Log, Stack } from "@demiflow/core"
import { PortForwarding } from "@demiflow/flow"
import { AutoPorts, checkSpareDescriptors, type Machinery, openForwardedPorts } from "@demiflow/program/data-path"
import { BoundPorts, LinuxLocalPath, type NetworkNamespace } from "@demiflow/sys"

/**
 * The way for what is local at both ends; none where no port is forwarded, for then nothing is. Throws a `SystemError`.
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

/** Opens all ports, and has those that follow what is bound do so from now on. Throws `Quit` for one that can't be opened. */
export function openPorts(
  { native, arena }: Machinery,
  stack: Stack,
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
