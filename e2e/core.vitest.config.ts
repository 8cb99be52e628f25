/**
 * The core of the end-to-end tests: the tests that are repeated on another kernel, with another runtime, or with a
 * feature of the kernel withheld. It contains every test that concerns the kernel or the runtime, and none twice.
 */
import { defineConfig, mergeConfig, type ViteUserConfig } from "vitest/config"
import everyday, { files } from "./vitest.config.ts"

const core = [
  "platform/platform",
  "icmp-errors",
  "local-mode",
  "passt-from-host-udp",
  "pasta-from-guest",
  "tcp-connect",
  "tcp-ending",
  "tcp-slow",
  "tcp-transfer",
  "udp",
]

const configuration: ViteUserConfig = mergeConfig(
  { ...everyday, test: { ...everyday.test, exclude: [], include: [] } },
  defineConfig({ test: { name: "core", include: core.flatMap((name) => files(`${name}.test.ts`)) } }),
)

export default configuration
