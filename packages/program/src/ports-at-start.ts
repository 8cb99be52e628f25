import type { ConfiguredRule } from "@demiflow/config"
import { IpProtocol, interfaceName as nameOf } from "@demiflow/core"
import type { PortForwarding } from "@demiflow/flow"
import { errnoSentence, type Native } from "@demiflow/sys"
import { Quit } from "./messages.ts"

/**
 * Opens the ports of all rules. Throws {@link Quit} for a port that can't be opened, and for a best-effort rule without
 * a single port.
 */
export function openForwardedPorts(forwarding: PortForwarding, rules: readonly ConfiguredRule[]): void {
  for (const option of new Set(rules.map((rule) => rule.option))) {
    const ofOption = rules.filter((rule) => rule.option === option)
    let opened = 0
    let reason = ""
    for (const rule of ofOption) {
      const outcome = forwarding.add(rule)
      opened += outcome.opened
      if (outcome.failure === undefined) continue
      const { port, errno } = outcome.failure
      if (!rule.isBestEffort) throw new Quit(`Listen failed for ${describePort(rule, port)}: ${describeError(errno)}`)
      reason = `: ${describeError(errno)}`
    }
    if (opened === 0 && ofOption.some(({ isAuto }) => !isAuto)) {
      throw new Quit(`No port could be forwarded for '${option}'${reason}`)
    }
  }
}

/** Descriptors that must be left for connections. */
const SPARE_DESCRIPTORS = 64

/**
 * Checks that the forwarded ports have left descriptors for the connections to them: each port takes one, and so does
 * each connection. Throws {@link Quit}.
 */
export function checkSpareDescriptors(native: Native): void {
  const spare: number[] = []
  let last = 0
  while (last >= 0 && spare.length < SPARE_DESCRIPTORS) {
    last = native.createEvent(0)
    if (last >= 0) spare.push(last)
  }
  for (const descriptor of spare) native.close(descriptor)
  if (last < 0) {
    throw new Quit("The limit of open files allows for no more than the forwarded ports: raise it (ulimit -n)")
  }
}

/** The error in the form that users know, with a capital letter. */
function describeError(errno: number): string {
  const sentence = errnoSentence(errno)
  return sentence.charAt(0).toUpperCase() + sentence.slice(1)
}

/**
 * The port in the form that users know: `HOST TCP port 192.0.2.1%eth0/22`; inside the guest's namespace: `SPLICE TCP
 * port *%lo/22`.
 */
function describePort({ interface: place, protocol, address, interfaceName }: ConfiguredRule, port: number): string {
  const name = protocol === IpProtocol.tcp ? "TCP" : "UDP"
  const where = `${address ?? "*"}${interfaceName === undefined ? "" : `%${interfaceName}`}`
  return `${nameOf(place).toUpperCase()} ${name} port ${where}/${port}`
}
