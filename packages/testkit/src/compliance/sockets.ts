import { ALL_CAPABILITIES, type SocketsCapabilities } from "@demiflow/core"
import { afterAll, afterEach, beforeAll, describe } from "vitest"
import { SocketsBench } from "./sockets-bench.ts"
import { pingTests } from "./sockets-ping.ts"
import { tcpTests } from "./sockets-tcp.ts"
import { dualStackTcpTests, tcpListenTests } from "./sockets-tcp-listen.ts"
import { udpTests } from "./sockets-udp.ts"
import { udpBoundTests } from "./sockets-udp-bound.ts"
import { dualStackUdpTests, udpListenTests } from "./sockets-udp-listen.ts"
import type { SocketsUnderTest } from "./sockets-under-test.ts"
import { unsupportedTests } from "./sockets-unsupported.ts"

/** Which tests of a host are defined. */
export interface SocketsComplianceOptions {
  /** What the host can do; everything that isn't given. Tests of what it can't do are left out. */
  readonly capabilities?: Partial<SocketsCapabilities>
}

/**
 * Tests the contract of `Sockets` of `@demiflow/core`. Call it inside a test file; it defines its tests
 * with vitest.
 *
 * @param setup makes the host, once for all tests; its arena has 5 MiB to spare
 */
export function socketsCompliance(
  setup: () => SocketsUnderTest | Promise<SocketsUnderTest>,
  options: SocketsComplianceOptions = {},
): void {
  const capabilities = { ...ALL_CAPABILITIES, ...options.capabilities }
  let current: SocketsBench | undefined
  const bench = (): SocketsBench => {
    if (current === undefined) throw new Error("The host was not set up")
    return current
  }

  beforeAll(async () => {
    current = new SocketsBench(await setup())
  })
  afterEach(() => current?.closeAll())
  afterAll(() => current?.under.close?.())

  for (const isV4 of [true, false]) {
    const version = isV4 ? "IPv4" : "IPv6"
    const { listening, datagrams, ping } = capabilities
    describe(`TCP over ${version}`, () => tcpTests(bench, isV4, capabilities))
    if (datagrams) {
      describe(`UDP over ${version}`, () => udpTests(bench, isV4, capabilities))
      describe(`UDP with anybody over ${version}`, () => udpBoundTests(bench, isV4, capabilities))
    }
    if (listening) {
      describe(`TCP connections to the host over ${version}`, () => tcpListenTests(bench, isV4, capabilities))
      describe(`UDP from anyone over ${version}`, () => udpListenTests(bench, isV4, capabilities))
    }
    if (ping) describe(`echo over ${version}`, () => pingTests(bench, isV4))
    describe(`what isn't supported over ${version}`, () => unsupportedTests(bench, isV4, capabilities))
  }
  if (!capabilities.listening) return
  describe("TCP listening for both versions", () => dualStackTcpTests(bench))
  describe("UDP listening for both versions", () => dualStackUdpTests(bench, capabilities))
}
