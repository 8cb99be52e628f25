/**
 * Keeps the runtime's debugger shut. Node.js opens it, on a port of the host's loopback, when it is sent SIGUSR1 and nobody
 * handles that signal; and the guest may reach that port: who can talk to it has us run any code. The signal does nothing.
 */
export function keepDebuggerShut(): void {
  process.on("SIGUSR1", () => {})
}
