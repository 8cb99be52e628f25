/** Waiting for the command to end, while its processes live. */
import { Socket } from "node:net"
import { LineSplitter, type Native } from "@demiflow/sys"

/** Ignored while the command runs: it gets them from the terminal too, and decides. */
const TERMINAL_SIGNALS = ["SIGINT", "SIGQUIT"] as const
/** Passed on to the command. */
const FORWARDED_SIGNALS = { SIGHUP: 1, SIGUSR1: 10, SIGUSR2: 12, SIGTERM: 15 } as const

/**
 * Hands over each line that arrives at the descriptor, until its end, and passes signals on meanwhile.
 *
 * @param init to which signals are passed on
 */
export function supervise(
  native: Native,
  init: number,
  descriptor: number,
  takeLine: (line: string) => void,
): Promise<void> {
  for (const signal of TERMINAL_SIGNALS) process.on(signal, () => {})
  for (const [signal, number] of Object.entries(FORWARDED_SIGNALS)) {
    process.on(signal, () => native.kill(init, number))
  }
  const lines = new LineSplitter()
  return new Promise((resolve, reject) => {
    const pipe = new Socket({ fd: descriptor, readable: true, writable: false })
    pipe.setEncoding("utf8")
    pipe.on("data", (text: string) => {
      for (const line of lines.add(text)) takeLine(line)
    })
    pipe.on("error", reject)
    pipe.on("close", () => resolve())
  })
}
