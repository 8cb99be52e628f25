/** A start of pasta that is cut short leaves no process behind, whichever process ends and when. */
import { expect, test } from "vitest"
import { childrenOf, isRunning } from "./harness/inspection.ts"
import { runPasta, startPastaProcess } from "./harness/pasta.ts"
import { eventually } from "./harness/processes.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()

/** Launcher, data path, init, the helper in the namespace, and the command. One more exists only during the start. */
const PROCESSES = 5
const TOGETHER = 8

/** A process, and all that it has started. */
function treeOf(pid: number): readonly number[] {
  return [pid, ...childrenOf(pid).flatMap(treeOf)]
}

const counts = Array.from({ length: PROCESSES }, (_, index) => index + 1)
const moments = counts.flatMap((count) => Array.from({ length: count }, (_, victim) => [victim + 1, count] as const))

test.each(["ordinary", "root"] as const)(
  "nothing stays of a start by %s of which one process is killed",
  async (as) => {
    for (const [victim, count] of moments) {
      const program = startPastaProcess(topology.host, ["--config-net", "--", "sleep", "1000"], as)
      const tree = await eventually(`${count} processes`, () => {
        const processes = treeOf(program.pid)
        return processes.length >= count ? processes : undefined
      })
      process.kill(tree[victim - 1] ?? program.pid, "SIGKILL")
      // Some processes are needed no more, and everything goes on without them.
      program.signal("SIGTERM")
      // Its output ends with the last process that holds it.
      await program.result
      await eventually("no process", () => (tree.some(isRunning) ? undefined : true))
    }
  },
)

test.each(["ordinary", "root"] as const)("nothing stays of starts by %s that fail beside each other", async (as) => {
  const failing = ["--outbound-if4", "no-such-if", "--", "true"]
  for (let round = 0; round < 5; round++) {
    const results = await Promise.all(Array.from({ length: TOGETHER }, () => runPasta(topology.host, failing, as)))
    expect(results.map(({ status }) => status)).toEqual(Array(TOGETHER).fill(1))
  }
})
