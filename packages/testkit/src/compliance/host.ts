import { afterAll, afterEach, beforeAll, describe } from "vitest"
import { HostBench } from "./host-bench.ts"
import { pingTests } from "./host-ping.ts"
import { tcpTests } from "./host-tcp.ts"
import { dualStackTcpTests, tcpListenTests } from "./host-tcp-listen.ts"
import { udpTests } from "./host-udp.ts"
import { udpBoundTests } from "./host-udp-bound.ts"
import { dualStackUdpTests, udpListenTests } from "./host-udp-listen.ts"
import type { HostUnderTest } from "./host-under-test.ts"

/** What a host is asked to show. */
export interface HostComplianceOptions {
  /** False where the host may not open ping sockets. */
  readonly hasPing?: boolean
}

/**
 * Tests that a host keeps to what `Host` of `@demiflow/core` promises. Call it inside a test file; it makes its tests
 * with vitest.
 *
 * @param setup makes the host, once for all tests; its arena has 5 MiB to spare
 */
export function hostCompliance(
  setup: () => HostUnderTest | Promise<HostUnderTest>,
  options: HostComplianceOptions = {},
): void {
  let current: HostBench | undefined
  const bench = (): HostBench => {
    if (current === undefined) throw new Error("The host was not set up")
    return current
  }

  beforeAll(async () => {
    current = new HostBench(await setup())
  })
  afterEach(() => current?.closeAll())
  afterAll(() => current?.under.close?.())

  for (const isV4 of [true, false]) {
    const version = isV4 ? "IPv4" : "IPv6"
    describe(`TCP over ${version}`, () => tcpTests(bench, isV4))
    describe(`TCP connections to the host over ${version}`, () => tcpListenTests(bench, isV4))
    describe(`UDP over ${version}`, () => udpTests(bench, isV4))
    describe(`UDP with anybody over ${version}`, () => udpBoundTests(bench, isV4))
    describe(`UDP from anyone over ${version}`, () => udpListenTests(bench, isV4))
    if (options.hasPing ?? true) describe(`echo over ${version}`, () => pingTests(bench, isV4))
  }
  describe("TCP listening for both versions", () => dualStackTcpTests(bench))
  describe("UDP listening for both versions", () => dualStackUdpTests(bench))
}
