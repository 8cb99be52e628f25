/** Forwarded ports that change while passt or pasta runs: the socket of -c, and pesto. */
import { once } from "node:events"
import { existsSync, statSync, writeFileSync } from "node:fs"
import { afterAll, describe, expect, test } from "vitest"
import { fileFor } from "./harness/machine.ts"
import { runPasst } from "./harness/passt.ts"
import { runPasta, startPastaProcess, usePasta } from "./harness/pasta.ts"
import { connectTo, pesto, readToEnd } from "./harness/pesto.ts"
import type { Place } from "./harness/places.ts"
import { eventually } from "./harness/processes.ts"
import { type Arrival, protocols, refused, tcp } from "./harness/protocols.ts"
import { startServer, useServerIn } from "./harness/servers.ts"
import { usePasst } from "./harness/stand-in.ts"
import { families, useTopology } from "./harness/topology.ts"

const topology = useTopology()
const { host, world } = topology
const [family] = families

/** Retries until a request arrives, or none any more. */
function arrives(from: Place, address: string, port: number, isOpen: boolean): Promise<Arrival> {
  return eventually(`TCP port ${port} is ${isOpen ? "open" : "closed"}`, async () => {
    const arrival = await tcp.arrival(from, address, port)
    return "error" in arrival === isOpen ? undefined : arrival
  })
}

const ECHO_SERVER = `
import socket
server = socket.create_server(("0.0.0.0", 7090))
print("ready", flush=True)
connection = server.accept()[0]
while word := connection.recv(100):
    connection.sendall(word)
`
/** Prints what comes back of two words, the second of which it sends once its input has ended. */
const ECHO_CLIENT = `
import socket, sys
connection = socket.create_connection(("127.0.0.1", 7087))
for word in [b"before", b"after"]:
    connection.sendall(word)
    print(connection.recv(100).decode(), flush=True)
    sys.stdin.read()
`

const DONE = { status: 0, stdout: "", stderr: "" }

describe.each(["pasta", "passt"] as const)("%s", (program) => {
  const path = fileFor("pesto")
  const options = ["-c", path, "-t", "none", "-u", "none"]
  const running =
    program === "pasta"
      ? usePasta(topology, { options: ["--config-net", "-T", "none", "-U", "none", ...options] })
      : usePasst(topology, { options })
  for (const { server } of protocols) {
    useServerIn(server, () => running.guest, [
      { address: "0.0.0.0", port: 7080 },
      { address: "::", port: 7080 },
    ])
  }
  const change = (...argv: string[]) => pesto(host, [...argv, path])
  const rules = async () => (await change()).stdout.split("\n").slice(1, -1)
  const tables = program === "pasta" ? ["  HOST", "  SPLICE"] : ["  HOST"]

  test("has a socket for its user alone", async () => {
    expect((statSync(path).mode & 0o7777).toString(8)).toBe("600")
    expect(await rules()).toEqual(tables)
  })

  test("is root's as well, and not another user's", async () => {
    expect(await pesto(host, [path], "root")).toMatchObject({ status: 0 })
    const other = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "--"]
    expect(await pesto(host, [path], "root", other)).toMatchObject({
      status: 1,
      stderr: `pesto: "${path}" can't be connected to: it belongs to another user\n`,
    })
  })

  test("takes the changes of clients that come at once", async () => {
    const numbers = Array.from({ length: 8 }, (_, index) => 7060 + index)
    const ends = await Promise.all(numbers.map((port) => change("-A", "-t", `${port}`)))
    expect(ends).toEqual(numbers.map(() => expect.objectContaining(DONE)))
    expect(await rules()).toHaveLength(tables.length + numbers.length)
    expect(await change("-C", "HOST")).toMatchObject(DONE)
  })

  test("serves as many clients as it says, and the next one once one has gone", async () => {
    const clients = []
    for (let count = 0; count < 17; count++) clients.push(await connectTo(path))
    const greeted = clients.map((client) => once(client, "data"))
    await Promise.all(greeted.slice(0, 16))
    expect(clients[16].bytesRead).toBe(0)
    clients[3].destroy()
    await greeted[16]
    for (const client of clients) client.destroy()
  })

  test("opens and closes ports of both protocols and IP versions", async () => {
    expect(await change("-t", "7081:7080", "-u", "7082:7080")).toMatchObject(DONE)
    expect(await rules()).toEqual([
      "  HOST",
      "    TCP [*]:7081  =>  7080",
      "    UDP [*]:7082  =>  7080",
      ...tables.slice(1),
    ])
    for (const [index, protocol] of protocols.entries()) {
      for (const { host: address } of families) {
        expect(await protocol.arrival(world, address, 7081 + index)).toMatchObject({ port: 7080 })
      }
    }
    expect(await change("-D", "-t", "7081:7080", "-A", "-t", `${family.host}/7083:7080`)).toMatchObject(DONE)
    expect(await tcp.arrival(world, family.host, 7081)).toEqual(refused)
    expect(await tcp.arrival(world, family.host, 7083)).toMatchObject({ port: 7080 })
    expect(await change("-C", "HOST")).toMatchObject(DONE)
    expect(await tcp.arrival(world, family.host, 7083)).toEqual(refused)
    expect(await rules()).toEqual(tables)
  })

  test("changes nothing if one port is taken, and names it", async () => {
    await change("-t", "7084:7080")
    const server = await startServer(tcp.server, host, [{ address: "0.0.0.0", port: 7085 }])
    const before = await rules()
    const { status, stdout, stderr } = await change("-t", "7083-7086:7080-7083")
    expect([status, stdout]).toEqual([1, ""])
    expect(stderr).toBe("pesto: Listen failed for HOST TCP port */7085: Address already in use\n")
    expect(await rules()).toEqual(before)
    expect(await tcp.arrival(world, family.host, 7084)).toMatchObject({ port: 7080 })
    expect(await tcp.arrival(world, family.host, 7086)).toEqual(refused)
    await server.stop()
    expect(await change("-C", "HOST")).toMatchObject(DONE)
  })

  test("lets connections go on whose port is closed", async () => {
    const server = running.guest.start(["python3", "-c", ECHO_SERVER])
    await server.printed(/^ready$/m)
    await change("-t", "7087:7090")
    const client = host.start(["python3", "-c", ECHO_CLIENT], { keepInputOpen: true })
    await client.printed(/^before$/m)
    expect(await change("-C", "HOST")).toMatchObject(DONE)
    expect(await tcp.arrival(host, family.loopback, 7087)).toEqual(refused)
    client.closeInput()
    expect(await client.result).toMatchObject({ status: 0, stdout: "before\nafter\n" })
    await server.stop()
  })

  test("refuses no connection to a port that stays, however often 200 rules change", async () => {
    const even = Array.from({ length: 200 }, (_, index) => ["-t", `${7200 + 2 * index}`]).flat()
    const odd = Array.from({ length: 200 }, (_, index) => ["-t", `${7201 + 2 * index}`]).flat()
    expect(await change("-t", "7088:7080")).toMatchObject(DONE)
    const knocking = host.startNode("knock.mjs", { address: family.loopback, port: 7088 }, { keepInputOpen: true })
    await knocking.printed(/^100 established$/m)
    const listening = () => host.shell("ss -Hltne 'sport = :7088' | grep -o 'ino:[0-9]*'")
    const sockets = await listening()
    for (let count = 0; count < 5; count++) {
      for (const ports of [even, odd]) expect(await change("-t", "7088:7080", ...ports)).toMatchObject(DONE)
    }
    expect(await listening()).toBe(sockets)
    knocking.closeInput()
    const { stdout } = await knocking.result
    expect(Object.keys(JSON.parse(stdout.trim().split("\n").at(-1) ?? ""))).toEqual(["established"])
    expect(await rules()).toHaveLength(tables.length + 201)
    expect(await change("-C", "HOST")).toMatchObject(DONE)
  })

  test("lives on with clients that send anything, stop halfway, or come in thousands", async () => {
    const half = await connectTo(path)
    half.write(Buffer.of(1, 0, 0, 0, 9, 0, 0))
    const others = await Promise.all(Array.from({ length: 50 }, () => connectTo(path)))
    for (const other of others) other.destroy()
    for (let count = 0; count < 2_000; count++) (await connectTo(path)).destroy()
    for (const bytes of [Buffer.alloc(300, 0xff), Buffer.of(1, 0xff, 0xff, 0xff, 0xff), Buffer.of(9, 0, 0, 0, 0, 0)]) {
      const client = await connectTo(path)
      client.write(bytes)
      expect((await readToEnd(client)).toString("latin1")).toMatch(/Not understood/)
    }
    expect(await rules()).toEqual(tables)
    half.destroy()
  })
})

describe("pasta", () => {
  const path = fileFor("pesto")
  const running = usePasta(topology, {
    options: ["--config-net", "-c", path, "-t", "none", "-u", "none", "-T", "none", "-U", "none"],
  })
  const change = (...argv: string[]) => pesto(host, [...argv, path])

  test("opens ports of its namespace, which lead to the host", async () => {
    const server = await startServer(tcp.server, host, [{ address: "127.0.0.1", port: 7100 }])
    expect(await tcp.arrival(running.guest, "127.0.0.1", 7101)).toEqual(refused)
    expect(await change("-T", "7101:7100")).toMatchObject(DONE)
    expect(await tcp.arrival(running.guest, "127.0.0.1", 7101)).toMatchObject({ port: 7100 })
    expect(await change("-C", "SPLICE")).toMatchObject(DONE)
    expect(await tcp.arrival(running.guest, "127.0.0.1", 7101)).toEqual(refused)
    await server.stop()
  })

  test("begins to follow what is bound, and stops", async () => {
    const server = await startServer(tcp.server, running.guest, [{ address: "0.0.0.0", port: 7110 }])
    expect(await change("-t", "7110-7119,auto")).toMatchObject(DONE)
    await arrives(world, family.host, 7110, true)
    await server.stop()
    await arrives(world, family.host, 7110, false)
    expect(await change("-t", "none")).toMatchObject(DONE)
  })

  test("gives up a client that stops halfway", async () => {
    const half = await connectTo(path)
    half.write(Buffer.of(1, 0, 0))
    await once(half.resume(), "close")
  })

  test("shows the ports before and after a change", async () => {
    const { stdout } = await change("-s", "-t", "7120")
    expect(stdout).toBe(
      [
        `Previous configuration (${path})`,
        "  HOST",
        "  SPLICE",
        `Updated configuration (${path})`,
        "  HOST",
        "    TCP [*]:7120  =>  7120",
        "  SPLICE",
        "",
      ].join("\n"),
    )
  })
})

describe("a path", () => {
  const path = fileFor("pesto")
  afterAll(() => expect(existsSync(path)).toBe(true))

  test("that a program left behind is used again, and the program's own while it runs is not", async () => {
    const start = () => runPasta(host, ["--config-net", "-c", path, "--", "true"])
    expect(await start()).toMatchObject({ status: 0 })
    expect((await pesto(host, [path])).stderr).toBe(
      `pesto: "${path}" can't be connected to: no program listens there\n`,
    )
    expect(await start()).toMatchObject({ status: 0 })
    const first = startPastaProcess(
      host,
      ["--config-net", "-c", path, "--", "sh", "-c", "echo up; exec cat"],
      "ordinary",
      {
        keepInputOpen: true,
      },
    )
    await first.printed(/^up$/m)
    const second = await runPasta(host, ["--config-net", "-c", path, "--", "true"])
    expect([second.status, second.stderr]).toEqual([1, expect.stringContaining("Another program uses the socket")])
    first.closeInput()
    expect(await first.result).toMatchObject({ status: 0 })
  })

  test("of another file is an error, and the file stays", async () => {
    const file = fileFor("no socket")
    writeFileSync(file, "precious")
    for (const run of [
      runPasta(host, ["-c", file, "--", "true"]),
      runPasst(host, ["-f", "-c", file, "-s", fileFor("hypervisor")]),
    ]) {
      const { status, stderr } = await run
      expect([status, stderr]).toEqual([1, expect.stringMatching(/exists and isn't a socket/)])
    }
    expect(statSync(file).size).toBe(8)
  })

  test("that leads to no program is one line", async () => {
    expect(await pesto(host, ["/nothing"])).toEqual({
      status: 1,
      signal: null,
      stdout: "",
      stderr: `pesto: "/nothing" can't be connected to: there is no such file\n`,
    })
  })
})
