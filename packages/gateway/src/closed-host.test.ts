import { readFileSync } from "node:fs"
import { LOOPBACK_V4 } from "@demiflow/core"
import { afterEach, expect, test, vi } from "vitest"
import { GatewayError } from "./gateway-error.ts"
import { TestGuest } from "./test-support.ts"

vi.mock("node:fs", { spy: true })

afterEach(() => {
  vi.mocked(readFileSync).mockRestore()
})

test("a host that can't be closed is refused, and one whose addresses the program knows is not", async () => {
  const cause = Object.assign(new Error("EACCES: permission denied, open 'fib_trie'"), { code: "EACCES" })
  vi.mocked(readFileSync).mockImplementation(() => {
    throw cause
  })
  const options = { socketsKind: "node", nameServers: ["192.0.2.53"] } as const
  await expect(TestGuest.open({ ...options, closedHost: true })).rejects.toThrow(
    expect.objectContaining({
      constructor: GatewayError,
      code: "ERR_GATEWAY_OPTION",
      message:
        "closedHost is true, and the host's addresses can't be read (EACCES: permission denied, open 'fib_trie'): " +
        "pass an object that knows them",
      cause,
    }),
  )
  const { gateway } = await TestGuest.open({ ...options, closedHost: { isOwn: (address) => address === LOOPBACK_V4 } })
  expect(gateway.socketsKind).toBe("node")
  gateway.close()
})
