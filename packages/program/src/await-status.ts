import { LineSplitter } from "@demiflow/sys"

/**
 * Reads lines from a pipe until the last of them; answers its status, or undefined if the pipe ended before.
 *
 * @param takeLine called with each; answers the status if it is the last. What it throws rejects the promise
 */
export function awaitStatus(
  descriptor: number,
  takeLine: (line: string) => number | undefined,
): Promise<number | undefined> {
  const lines = new LineSplitter()
  // Loaded once everything runs, not before.
  const { Socket } = process.getBuiltinModule("node:net")
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
