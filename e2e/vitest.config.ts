import { availableParallelism } from "node:os"
import { defineConfig, type ViteUserConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"
import { CASE_LIMIT } from "./harness/limits.ts"

// Network namespaces, mounts and raw sockets: without root there is nothing to run.
const isRoot = process.getuid?.() === 0
if (!isRoot) {
  const message = "The end-to-end tests make network namespaces and need root: sudo npm run e2e"
  if (process.env.CI === "true") throw new Error(message)
  console.warn(`${message}. Skipped.`)
}

/** Files that take longest: they begin first, so that no core is left with one of them at the end. */
const LONGEST = [
  "passt-qemu",
  "passt-tcp",
  "tcp-impaired-inside-65520",
  "hostile-namespace",
  "local-path",
  "auto-ports",
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => LONGEST.some((name) => moduleId.endsWith(`/${name}.test.ts`))
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

const configuration: ViteUserConfig = defineConfig({
  root: import.meta.dirname,
  test: {
    name: "e2e",
    include: isRoot ? ["**/*.test.ts"] : [],
    passWithNoTests: !isRoot,
    globalSetup: isRoot ? ["harness/global-setup.ts"] : [],
    pool: "forks",
    // One more than there are cores: many cases wait for the kernel's timers.
    maxWorkers: availableParallelism() + 1,
    sequence: { sequencer: LongestFirst },
    setupFiles: ["../scripts/test/record-limit.ts"],
    testTimeout: CASE_LIMIT,
    hookTimeout: CASE_LIMIT,
    teardownTimeout: 20_000,
  },
})

export default configuration
