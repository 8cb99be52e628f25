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
 * does nothing. A signal that came before is what `endIfDebuggerIsOpen` is for, which is called once more after a while.
 */
export function keepDebuggerShut(): void {
  process.on("SIGUSR1", () => {})
  if (mayBeOpen()) setTimeout(endIfDebuggerIsOpen, LATE).unref()
}

/**
 * Ends the process with one line if the debugger is open without `--inspect`. To be called before a guest can reach anything,
 * and where the start doesn't wait for it: the module that knows loads 20 others.
 */
export function endIfDebuggerIsOpen(): void {
  if (!mayBeOpen()) return
  const inspector = process.getBuiltinModule("node:inspector")
  if (inspector.url() === undefined) return
  inspector.close()
  complain("SIGUSR1 has opened the debugger of the runtime: ended, because the guest could reach it")
  process.exit(1)
}

/** False where nobody can have opened it, or the user wants it open. */
function mayBeOpen(): boolean {
  const words = [...process.execArgv, process.env.NODE_OPTIONS ?? ""].join(" ")
  return !process.execArgv.includes(SHUT_DEBUGGER) && !ASKED_FOR.test(words)
}
