/** Waiting for the command to end, while its processes live. */
import { Socket } from "node:net"
import { LineSplitter, type Native } from "@demiflow/sys"

/** What a terminal sends to everybody in its foreground: the command has got it as well. */
const TERMINAL_SIGNALS = { SIGINT: 2, SIGQUIT: 3 } as const
/** Passed on to the command in any case. */
const FORWARDED_SIGNALS = { SIGHUP: 1, SIGUSR1: 10, SIGUSR2: 12, SIGTERM: 15 } as const

/** What there is to watch over. */
export interface Supervision {
  readonly native: Native
  /** Process number of the init to which signals are passed on. */
  readonly init: number
  /** True if the terminal sends its signals to the command too. */
  readonly isForeground: boolean
  /** A pipe to read lines from, to its end. */
  readonly descriptor: number
  /** Called with each; answers the status if it is the last. What it throws rejects the promise. */
  readonly takeLine: (line: string) => number | undefined
}

/** Passes signals on, and lines, until the last of them; answers its status, or undefined if the pipe ended before. */
export function supervise(supervision: Supervision): Promise<number | undefined> {
  const { native, init, isForeground, descriptor, takeLine } = supervision
  for (const [signal, number] of Object.entries(FORWARDED_SIGNALS)) {
    process.on(signal, () => native.kill(init, number))
  }
  for (const [signal, number] of Object.entries(TERMINAL_SIGNALS)) {
    process.on(signal, () => {
      if (!isForeground) native.kill(init, number)
    })
  }
  const lines = new LineSplitter()
  return new Promise((resolve, reject) => {
    const pipe = new Socket({ fd: descriptor, readable: true, writable: false })
    pipe.setEncoding("utf8")
    pipe.on("data", (text: string) => {
      try {
        for (const line of lines.add(text)) {
          const status = takeLine(line)
          if (status !== undefined) resolve(status)
        }
      } catch (error) {
        reject(error)
      }
    })
    pipe.on("error", reject)
    pipe.on("close", () => resolve(undefined))
  })
}
