/** `npm run test:machines`: tests with several virtual machines, repeated boots, and all features of vhost-user. */
import { defineConfig, mergeConfig, type ViteUserConfig } from "vitest/config"
import everyday, { files } from "../vitest.config.ts"

const configuration: ViteUserConfig = mergeConfig(
  { ...everyday, test: { ...everyday.test, exclude: [], include: [] } },
  defineConfig({ test: { name: "machines", include: files("machines/**/*.test.ts") } }),
)

export default configuration
