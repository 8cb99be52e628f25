/** Waiting for the processes below to end, while they live. */
import { Socket } from "node:net"
import { LineSplitter, type Native } from "@demiflow/sys"

const SIGTERM = 15
/** What ends a program, which has something to end first. */
const ENDING_SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const
/** What a terminal sends to everybody in its foreground: the command has got it as well. */
const TERMINAL_SIGNALS = { SIGINT: 2, SIGQUIT: 3 } as const
/** Passed on to the command in any case. */
const FORWARDED_SIGNALS = { SIGHUP: 1, SIGUSR1: 10, SIGUSR2: 12, SIGTERM: 15 } as const

/** Lines to wait for. */
export interface Lines {
  /** A pipe to read lines from, to its end. */
  readonly descriptor: number
  /** Called with each; answers the status if it is the last. What it throws rejects the promise. */
  readonly takeLine: (line: string) => number | undefined
}

/** A command to watch over. */
export interface CommandSupervision extends Lines {
  readonly native: Native
  /** Process number of the init to which signals are passed on. */
  readonly init: number
  /** True if the terminal sends its signals to the command too. */
  readonly isForeground: boolean
}

/** A data path to watch over, without a command. */
export interface DataPathSupervision extends Lines {
  readonly native: Native
  /** Its process number. */
  readonly process: number
}

/** Passes signals on, and lines, until the last of them; answers its status, or undefined if the pipe ended before. */
export function superviseCommand(supervision: CommandSupervision): Promise<number | undefined> {
  const { native, init, isForeground } = supervision
  for (const [signal, number] of Object.entries(FORWARDED_SIGNALS)) {
    process.on(signal, () => native.kill(init, number))
  }
  for (const [signal, number] of Object.entries(TERMINAL_SIGNALS)) {
    process.on(signal, () => {
      if (!isForeground) native.kill(init, number)
    })
  }
  return lastLine(supervision)
}

/** Has the data path end as this process is to end; answers its status, or undefined if nobody knows. */
export function superviseDataPath(supervision: DataPathSupervision): Promise<number | undefined> {
  for (const signal of ENDING_SIGNALS) process.on(signal, () => supervision.native.kill(supervision.process, SIGTERM))
  return lastLine(supervision)
}

function lastLine({ descriptor, takeLine }: Lines): Promise<number | undefined> {
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
