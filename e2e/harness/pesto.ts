/** pesto, and clients that behave worse. */
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { join } from "node:path"
import { environmentOf, type Identity, identity } from "./identity.ts"
import { timeLeft } from "./limits.ts"
import { reachable, repository } from "./machine.ts"
import type { Namespace } from "./places.ts"
import { Program, type Result } from "./processes.ts"

const executable = process.env.DEMIFLOW_PESTO ?? join(repository, "apps/pesto/bin/pesto")

/** Runs pesto to its end. `before`: words in front, a wrapper. */
export function pesto(
  host: Namespace,
  argv: readonly string[],
  as: Identity = "ordinary",
  before: readonly string[] = [],
): Promise<Result> {
  const command = [...identity(host, as, before), reachable(executable), ...argv]
  return new Program(command, { environment: environmentOf(as), timeout: timeLeft() }).result
}

/** A connection to the socket of a running program. Retries while others fill its queue. */
export async function connectTo(path: string): Promise<Socket> {
  for (;;) {
    const socket = connect({ path })
    try {
      await once(socket, "connect")
      return socket
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error
      await new Promise(setImmediate)
    }
  }
}

/** All that comes until the other end closes the connection. */
export async function readToEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  return Buffer.concat(chunks)
}
