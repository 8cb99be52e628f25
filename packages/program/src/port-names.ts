import { IpProtocol, interfaceName as nameOf } from "@demiflow/core"
import type { ForwardingRule } from "@demiflow/flow"
import { errnoSentence } from "@demiflow/sys"

/** The error in the form that users know, with a capital letter. */
export function describeError(errno: number): string {
  const sentence = errnoSentence(errno)
  return sentence.charAt(0).toUpperCase() + sentence.slice(1)
}

/**
 * The port in the form that users know: `HOST TCP port 192.0.2.1%eth0/22`; inside the guest's namespace: `SPLICE TCP
 * port *%lo/22`.
 */
export function describePort(rule: ForwardingRule, port: number): string {
  const { interface: place, protocol, address, interfaceName } = rule
  const name = protocol === IpProtocol.tcp ? "TCP" : "UDP"
  const where = `${address ?? "*"}${interfaceName === undefined ? "" : `%${interfaceName}`}`
  return `${nameOf(place).toUpperCase()} ${name} port ${where}/${port}`
}
