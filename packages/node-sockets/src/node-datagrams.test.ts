import { Socket as NodeDatagrams } from "node:dgram"
import { Address, Errno } from "@demiflow/core"
import { expect, test, vi } from "vitest"
import { connectError, createDatagrams } from "./node-datagrams.ts"

test("whether the runtime connects at once is asked again if there was no descriptor to find it out", () => {
  const socket = createDatagrams(true)
  const error = () => connectError(socket, undefined, Address.parse("192.0.2.1"))
  const bind = vi.spyOn(NodeDatagrams.prototype, "bind").mockImplementation(function (this: NodeDatagrams) {
    this.emit("error", Object.assign(new Error("bind EMFILE"), { code: "EMFILE", errno: -Errno.EMFILE }))
    return this
  })
  expect(error()).toBe(0)
  bind.mockRestore()
  expect(error()).toBe(-Errno.ENETUNREACH)
  socket.close()
})
