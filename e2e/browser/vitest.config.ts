/** `npm run test:browser`: pages with virtual machines, in Chromium. Needs no privileges. */
import { defineConfig, type ViteUserConfig } from "vitest/config"

const configuration: ViteUserConfig = defineConfig({
  root: import.meta.dirname,
  test: {
    name: "browser",
    include: ["**/*.test.ts"],
    setupFiles: ["../../scripts/test/record-limit.ts"],
    globalSetup: ["guest-files.ts"],
    // A page with a machine uses a core.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})

export default configuration
