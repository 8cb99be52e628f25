/** The world's servers, and requests of the guest's programs to them: the traffic of `traffic/`. */
import { afterAll, beforeAll } from "vitest"
import { compiled } from "./compile.ts"
import type { Place, PlaceOptions } from "./places.ts"
import type { Program } from "./processes.ts"
import { type Family, families, type Topology } from "./topology.ts"

export const TCP_PORT = 5000
export const UDP_PORT = 5001
/** Nothing listens here. */
export const CLOSED_PORT = 5999

type ServerProgram = "tcp-server" | "udp-server"
type ClientProgram = "tcp-client" | "udp-client"

type Field = string | number | boolean | undefined | readonly (string | number)[]

/** The command line of one of the programs of `traffic/`. */
function traffic(program: ServerProgram | ClientProgram, request: Readonly<Record<string, Field>>): readonly string[] {
  const fields = Object.entries(request).filter(([, value]) => value !== undefined)
  return [compiled("traffic"), program, ...fields.map(([key, value]) => `${key}=${value}`)]
}

export interface Listening {
  readonly address: string
  readonly port: number
  /** True to have IPv4 at an IPv6 socket as well, as most servers do. */
  readonly isDualStack: boolean
}

const ports: Readonly<Record<string, number>> = { "tcp-server": TCP_PORT, "udp-server": UDP_PORT }

export async function startServer(
  program: ServerProgram,
  place: Place,
  listen: readonly Partial<Listening>[],
): Promise<Program> {
  const places = listen.map(
    ({ address = "", port = ports[program], isDualStack }) =>
      `${address}/${port}${isDualStack === true ? "/dual" : ""}`,
  )
  const server = place.start(traffic(program, { listen: places }), { keepInputOpen: true })
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

export type Request = Readonly<Record<string, Field>> & { readonly scenario: string }

function tcpWords(family: Family, request: Request): readonly string[] {
  return traffic("tcp-client", { address: family.server, port: TCP_PORT, ...request })
}

/** Runs a scenario of `traffic/tcp-client.c` against the world's server. */
export function tcpClient<T>(place: Place, family: Family, request: Request, options?: PlaceOptions): Promise<T> {
  return place.answer<T>(tcpWords(family, request), options)
}

/** The same, returned while it runs. */
export function startTcpClient(place: Place, family: Family, request: Request, options?: PlaceOptions): Program {
  return place.start(tcpWords(family, request), options)
}

/** Runs a scenario of `traffic/udp-client.c` against the world's server. */
export function udpClient<T>(place: Place, family: Family, request: Request, options?: PlaceOptions): Promise<T> {
  return place.answer<T>(traffic("udp-client", { address: family.server, port: UDP_PORT, ...request }), options)
}

/** The JSON lines that a program has printed; the last one is the result. */
export function lastLine<T>(stdout: string): T {
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as T
}
