import { availableParallelism } from "node:os"
import { defaultServerConditions } from "vite"
import { defineConfig, type ViteUserConfig } from "vitest/config"
import { longestFirst } from "../scripts/test/longest-first.ts"
import { CASE_LIMIT } from "./harness/limits.ts"

// Network namespaces, mounts and raw sockets: without root no test can run.
const isRoot = process.getuid?.() === 0
if (!isRoot) {
  const message = "The end-to-end tests make network namespaces and need root: sudo npm run e2e"
  if (process.env.CI === "true") throw new Error(message)
  console.warn(`${message}. Skipped.`)
}

const longest = [
  "passt-vhost-traffic",
  "passt-qemu",
  "passt-vhost-qemu",
  "local-path",
  "auto-ports",
  "hostile-namespace",
  "passt-tcp",
  "passt-fuzz",
  "tcp-impaired-inside-65520",
  "tcp-impaired-inside-1500",
]

/** Test files, if they can be run. */
export function files(pattern: string): string[] {
  return isRoot ? [pattern] : []
}

const configuration: ViteUserConfig = defineConfig({
  root: import.meta.dirname,
  // Cases read lists to compare with from the sources.
  ssr: { resolve: { conditions: ["@demiflow/source", ...defaultServerConditions] } },
  test: {
    name: "e2e",
    include: files("**/*.test.ts"),
    // Groups of their own: npm run test:browser, npm run test:kernel, npm run test:machines.
    exclude: ["**/node_modules/**", "browser/**", "kernel/**", "machines/**"],
    passWithNoTests: !isRoot,
    globalSetup: isRoot ? ["harness/global-setup.ts"] : [],
    pool: "forks",
    // More workers than cores: many cases wait for the kernel's timers.
    maxWorkers: availableParallelism() * 2,
    sequence: { sequencer: longestFirst(longest) },
    setupFiles: ["../scripts/test/record-limit.ts", "harness/setup.ts"],
    testTimeout: CASE_LIMIT,
    hookTimeout: CASE_LIMIT,
    teardownTimeout: 20_000,
  },
})

export default configuration
