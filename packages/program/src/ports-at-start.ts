import type { ConfiguredRule } from "@demiflow/config"
import type { PortForwarding } from "@demiflow/flow"
import type { Native } from "@demiflow/sys"
import { Quit } from "./messages.ts"
import { describeError, describePort } from "./port-names.ts"
import { SpareDescriptors } from "./spare-descriptors.ts"

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

/**
 * Checks that the forwarded ports have left descriptors for the connections to them: each port takes one, and so does
 * each connection. Throws {@link Quit}.
 */
export function checkSpareDescriptors(native: Native): void {
  const spare = new SpareDescriptors(native)
  const isComplete = spare.hold()
  spare.release()
  if (!isComplete) {
    throw new Quit("The limit of open files allows for no more than the forwarded ports: raise it (ulimit -n)")
  }
}
