// Where and when something was measured.
import { readFileSync } from "node:fs"
import { cpus, release, totalmem } from "node:os"

/**
 * @typedef {object} Machine
 * @property {string} date Day, as in 2026-10-05.
 * @property {string} processor
 * @property {number} processors
 * @property {number} memory GiB.
 * @property {string} kernel Major and minor number.
 * @property {string} distribution
 * @property {string} node
 * @property {string} congestionControl
 */

/** @param {string} congestionControl @returns {Machine} */
export function describeMachine(congestionControl) {
  const processors = cpus()
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: processors[0]?.model.trim() ?? "unknown",
    processors: processors.length,
    memory: Math.round(totalmem() / 2 ** 30),
    kernel: release().split(".", 2).join("."),
    distribution: distribution(),
    node: process.versions.node,
    congestionControl,
  }
}

function distribution() {
  try {
    return /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "unknown"
  } catch {
    return "unknown"
  }
}

/** @param {Machine} machine */
export function machineSentence(machine) {
  const { date, processor, processors, memory, kernel, distribution, node, congestionControl } = machine
  const hardware = `${processors} × ${processor}, ${memory} GiB`
  return `${date}; ${hardware}; Linux ${kernel}, ${distribution}; Node.js ${node}; congestion control ${congestionControl}`
}
