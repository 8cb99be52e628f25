import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { expect, test } from "vitest"
import { Lingering } from "./lingering.ts"

test("closed sockets whose correspondents take nothing are limited in number: the oldest is reset", async () => {
  const others: Socket[] = []
  const server = createServer({ pauseOnConnect: true }, (other) => others.push(other.on("error", () => {})))
  await once(server.listen(0, "127.0.0.1"), "listening")
  const { port } = server.address() as { port: number }
  const lingering = new Lingering(2)
  const sockets: Socket[] = []
  for (let count = 0; count < 4; count++) {
    const socket = connect(port, "127.0.0.1")
    await once(socket, "connect")
    socket.write(new Uint8Array(16 << 20))
    lingering.add(socket)
    sockets.push(socket)
  }
  expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true, false, false])
  // One that has sent everything has left.
  others[2].resume()
  await once(sockets[2], "close")
  const last = connect(port, "127.0.0.1")
  await once(last, "connect")
  last.write(new Uint8Array(16 << 20))
  lingering.add(last)
  expect([sockets[3], last].map(({ destroyed }) => destroyed)).toEqual([false, false])
  for (const socket of [...sockets, last, ...others]) socket.destroy()
  server.close()
})
