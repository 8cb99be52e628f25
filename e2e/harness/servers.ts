/** The servers of the world, and the requests that the guest's programs make of them. */
import { afterAll, beforeAll } from "vitest"
import type { Place, PlaceOptions } from "./places.ts"
import type { Program } from "./processes.ts"
import { type Family, families, type Topology } from "./topology.ts"

export const TCP_PORT = 5000
export const UDP_PORT = 5001
/** Nothing listens here. */
export const CLOSED_PORT = 5999

type ServerProgram = "tcp-server.mjs" | "udp-server.mjs"

export interface Listening {
  readonly address: string
  readonly port: number
  /** True to have IPv4 at an IPv6 socket as well, as most servers do. */
  readonly isDualStack: boolean
}

const ports: Readonly<Record<string, number>> = { "tcp-server.mjs": TCP_PORT, "udp-server.mjs": UDP_PORT }

export async function startServer(
  program: ServerProgram,
  place: Place,
  listen: readonly Partial<Listening>[],
): Promise<Program> {
  const request = { listen: listen.map((where) => ({ port: ports[program], ...where })) }
  const server = place.startNode(program, request, { timeout: 500_000, keepInputOpen: true })
  await server.printed(/ready/)
  return server
}

/** A server in the world, on the servers' addresses of both families, while the tests of a file run. */
export function useServer(program: ServerProgram, topology: Topology): { readonly program: Program } {
  const listen = families.flatMap(({ server, other }) => [{ address: server }, { address: other }])
  return useServerIn(program, () => topology.world, listen)
}

/** A server somewhere else; on every address of that place unless `listen` says where. */
export function useServerIn(
  program: ServerProgram,
  place: () => Place,
  listen: readonly Partial<Listening>[] = [{ address: "0.0.0.0" }, { address: "::" }],
): { readonly program: Program } {
  let server: Program | undefined
  beforeAll(async () => {
    server = await startServer(program, place(), listen)
  })
  afterAll(async () => {
    await server?.stop()
  })
  return {
    get program() {
      if (server === undefined) throw new Error("the server runs only while tests do")
      return server
    },
  }
}

type Request = Readonly<Record<string, unknown>> & { readonly scenario: string }

/** Runs a scenario of `tcp-client.mjs` against the world's server. */
export function tcpClient<T>(place: Place, family: Family, request: Request, options?: PlaceOptions): Promise<T> {
  return place.node<T>("tcp-client.mjs", { address: family.server, port: TCP_PORT, ...request }, options)
}

/** The same, under way. */
export function startTcpClient(place: Place, family: Family, request: Request, options?: PlaceOptions): Program {
  return place.startNode("tcp-client.mjs", { address: family.server, port: TCP_PORT, ...request }, options)
}

/** Runs a scenario of `udp-client.mjs` against the world's server. */
export function udpClient<T>(place: Place, family: Family, request: Request, options?: PlaceOptions): Promise<T> {
  return place.node<T>("udp-client.mjs", { address: family.server, port: UDP_PORT, ...request }, options)
}

/** The JSON lines that a program has printed, the last one of which gave the result. */
export function lastLine<T>(stdout: string): T {
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as T
}
