/** `npm run test:machines`: tests with several virtual machines, or repeated boots. */
import { defineConfig, mergeConfig, type ViteUserConfig } from "vitest/config"
import everyday, { files } from "../vitest.config.ts"

const configuration: ViteUserConfig = mergeConfig(
  { ...everyday, test: { ...everyday.test, exclude: [], include: [] } },
  defineConfig({ test: { name: "machines", include: files("machines/**/*.test.ts") } }),
)

export default configuration
