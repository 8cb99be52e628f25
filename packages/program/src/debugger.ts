import { complain } from "./messages.ts"

/**
 * Option that keeps a runtime's debugger shut from the first instruction on: it can't listen at this address, which is
 * reserved (RFC 1112, section 4). Newer versions of Node.js have `--disable-sigusr1`, with which the signal would end
 * the runtime.
 */
export const SHUT_DEBUGGER = "--inspect-port=240.0.0.1:1024"
const ASKED_FOR = /(?:^|\s)--inspect(?:-brk|-wait)?(?:=|\s|$)/

/** Milliseconds in which an earlier signal takes effect. */
const LATE = 500

/**
 * Keeps the runtime's debugger shut. Node.js opens it, on a port of the host's loopback, when it receives SIGUSR1
 * without a handler for that signal. The guest may be able to reach that port, and a debugger's client runs arbitrary
 * code. From now on the signal does nothing. `endIfDebuggerIsOpen` deals with an earlier signal; it is called once more
 * after a while.
 */
export function keepDebuggerShut(): void {
  process.on("SIGUSR1", () => {})
  if (mayBeOpen()) setTimeout(endIfDebuggerIsOpen, LATE).unref()
}

/**
 * Ends the process with one line if the debugger is open without `--inspect`. To be called before a guest can reach
 * anything, and where it doesn't delay the start: the module that it needs loads 20 others.
 */
export function endIfDebuggerIsOpen(): void {
  if (!mayBeOpen()) return
  const inspector = process.getBuiltinModule("node:inspector")
  if (inspector.url() === undefined) return
  inspector.close()
  complain("SIGUSR1 has opened the debugger of the runtime: ended, because the guest could reach it")
  process.exit(1)
}

/** Returns false if nobody can have opened the debugger, or the user wants it open. */
function mayBeOpen(): boolean {
  const words = [...process.execArgv, process.env.NODE_OPTIONS ?? ""].join(" ")
  return !process.execArgv.includes(SHUT_DEBUGGER) && !ASKED_FOR.test(words)
}
