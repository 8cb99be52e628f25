import { defineConfig, type ViteUserConfig } from "vitest/config"
import { CASE_LIMIT } from "./harness/limits.ts"

// Network namespaces, mounts and raw sockets: without root there is nothing to run.
const isRoot = process.getuid?.() === 0
if (!isRoot) {
  const message = "The end-to-end tests make network namespaces and need root: sudo npm run e2e"
  if (process.env.CI === "true") throw new Error(message)
  console.warn(`${message}. Skipped.`)
}

const configuration: ViteUserConfig = defineConfig({
  root: import.meta.dirname,
  test: {
    name: "e2e",
    include: isRoot ? ["**/*.test.ts"] : [],
    passWithNoTests: !isRoot,
    globalSetup: isRoot ? ["harness/global-setup.ts"] : [],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: CASE_LIMIT,
    hookTimeout: CASE_LIMIT,
    teardownTimeout: 20_000,
  },
})

export default configuration
