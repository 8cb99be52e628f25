import { createServer } from "node:net"
import { join } from "node:path"
import { expect, test } from "vitest"
import { temporaryFolder } from "../harness/machine.ts"
import { Monitor } from "./monitor.ts"

test("a command that QEMU doesn't answer any more is rejected, and so are those after it", async () => {
  const path = join(temporaryFolder("monitor"), "socket")
  const server = createServer((socket) => {
    socket.once("data", () => {
      socket.write('{"return":{}}\n')
      socket.once("data", () => socket.destroy())
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  const monitor = await Monitor.connect(path)
  const commands = ["stop", "cont"].map((command) => monitor.execute(command))
  expect((await Promise.allSettled(commands)).map(({ status }) => status)).toEqual(["rejected", "rejected"])
  await expect(monitor.execute("quit")).rejects.toThrow("QEMU has closed its monitor")
  server.close()
})
