/** The ports of a namespace: forwarded into it, and out of it. */
import type { Configuration } from "@demiflow/config"
import type { Listeners, Log } from "@demiflow/core"
import { type ForwardingRule, PortForwarding } from "@demiflow/flow"
import {
  AutoPorts,
  checkSpareDescriptors,
  type Machinery,
  openForwardedPorts,
  openPesto,
} from "@demiflow/program/data-path"
import { listenAt } from "@demiflow/stream-link"
import { BoundPorts, LinuxLocalPath, type NetworkNamespace } from "@demiflow/sys"

/**
 * The path for flows that are local at both ends; undefined if no port is forwarded, since no such flow can begin then.
 * Throws a `SystemError`.
 *
 * @param tapName name of the tap interface; undefined: there is none
 */
export function openLocalPath(
  { native, arena, loop, shares }: Machinery,
  { forwarding, splicing, confPath }: Configuration,
  namespace: NetworkNamespace,
  tapName: string | undefined,
): LinuxLocalPath | undefined {
  if (splicing === undefined || (forwarding.length === 0 && confPath === undefined)) return undefined
  return new LinuxLocalPath(native, arena, loop, shares, namespace, tapName)
}

/**
 * Opens all ports, and starts following the ports that are bound, for rules that follow them; and opens the socket at
 * which the rules change. Throws `Quit` for a port that can't be opened.
 */
export function openPorts(
  machinery: Machinery,
  stack: Listeners,
  configuration: Configuration,
  namespace: NetworkNamespace,
  log: Log,
): void {
  const { native, arena } = machinery
  const { forwarding: rules, confPath } = configuration
  const forwarding = new PortForwarding(stack)
  openForwardedPorts(forwarding, rules)
  checkSpareDescriptors(native)
  if (confPath === undefined && !hasAuto(rules)) return
  const outside = new BoundPorts(native, arena)
  const auto = new AutoPorts(forwarding, outside, new BoundPorts(native, arena, namespace), log)
  if (hasAuto(rules)) auto.start()
  openPesto(machinery, configuration, forwarding, log, listenAt, (changed) => {
    if (!hasAuto(changed)) auto.stop()
    else if (!auto.isRunning) auto.start()
  })
}

function hasAuto(rules: readonly ForwardingRule[]): boolean {
  return rules.some(({ isAuto }) => isAuto)
}
