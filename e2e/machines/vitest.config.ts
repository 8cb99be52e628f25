/** `npm run test:machines`: what takes several virtual machines, or boots them again and again. */
import { defineConfig, mergeConfig, type ViteUserConfig } from "vitest/config"
import everyday, { files } from "../vitest.config.ts"

const configuration: ViteUserConfig = mergeConfig(
  { ...everyday, test: { ...everyday.test, exclude: [], include: [] } },
  defineConfig({ test: { name: "machines", include: files("machines/**/*.test.ts") } }),
)

export default configuration
