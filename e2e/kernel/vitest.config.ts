/** `npm run test:kernel`: a common kernel, in a virtual machine. */
import { defineConfig, mergeConfig, type ViteUserConfig } from "vitest/config"
import everyday, { files } from "../vitest.config.ts"

const configuration: ViteUserConfig = mergeConfig(
  { ...everyday, test: { ...everyday.test, exclude: [], include: [] } },
  defineConfig({ test: { name: "kernel", include: files("kernel/**/*.test.ts") } }),
)

export default configuration
