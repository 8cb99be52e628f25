import inspector from "node:inspector"
import { complain } from "./messages.ts"

/**
 * Option that keeps the debugger shut from the first instruction of a runtime on: nobody can listen at this address, which
 * is reserved (RFC 1112, section 4). Newer versions of Node.js have `--disable-sigusr1`, with which the signal would end the
 * runtime.
 */
export const SHUT_DEBUGGER = "--inspect-port=240.0.0.1:1024"
const ASKED_FOR = /(?:^|\s)--inspect(?:-brk|-wait)?(?:=|\s|$)/

/** Milliseconds in which a signal that came before takes effect. */
const LATE = 500

/**
 * Keeps the runtime's debugger shut. Node.js opens it, on a port of the host's loopback, when it receives SIGUSR1 and has no
 * handler for that signal. The guest may reach that port, and a client of the debugger runs any code. From now on the signal
 * does nothing. If it came before, and the debugger is open without `--inspect`, the process ends with one line.
 */
export function keepDebuggerShut(): void {
  process.on("SIGUSR1", () => {})
  const words = [...process.execArgv, process.env.NODE_OPTIONS ?? ""].join(" ")
  if (ASKED_FOR.test(words)) return
  endIfOpen()
  setTimeout(endIfOpen, LATE).unref()
}

function endIfOpen(): void {
  if (inspector.url() === undefined) return
  inspector.close()
  complain("SIGUSR1 has opened the debugger of the runtime: ended, because the guest could reach it")
  process.exit(1)
}
