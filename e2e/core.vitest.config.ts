/**
 * The core of the end-to-end tests: what is run again on another kernel, with another runtime, or with a kernel from
 * which something is withheld. All that concerns the kernel or the runtime is in it, and nothing twice.
 */
import { defineConfig, mergeConfig, type ViteUserConfig } from "vitest/config"
import everyday, { files } from "./vitest.config.ts"

const core = [
  "platform/platform",
  "icmp-errors",
  "local-mode",
  "passt-inbound-udp",
  "pasta-outbound",
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
