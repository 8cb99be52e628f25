import { existsSync, readdirSync } from "node:fs"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { defaultServerConditions } from "vite"
import { defineConfig } from "vitest/config"
import { longestFirst } from "./scripts/test/longest-first.ts"

// One project for each workspace, so that `vitest run --project tcp` runs the tests of one of them.
// The tests against real kernels have their own configuration, e2e/vitest.config.ts.
const workspaces = ["packages", "apps", "examples"].flatMap((folder) =>
  existsSync(new URL(folder, import.meta.url))
    ? readdirSync(new URL(folder, import.meta.url)).map((name) => ({ name, root: `${folder}/${name}` }))
    : [],
)

/**
 * What has neither a native part nor tests of allocation: its files share workers, and what they import. That takes a
 * third of the processor time away.
 */
const together = [
  "core",
  "flow",
  "protocol-kit",
  "arp",
  "ndp",
  "dhcp",
  "tap",
  "packet-link",
  "sockets-kit",
  "web-sockets",
  "stack",
  "testkit",
  "config",
  "pesto-protocol",
  "bench",
  "scripts",
]

export default defineConfig({
  // Sources, not what was built from them: tests need no build.
  ssr: { resolve: { conditions: ["@demiflow/source", ...defaultServerConditions] } },
  test: {
    projects: [...workspaces, { name: "scripts", root: "scripts" }, { name: "bench", root: "bench" }].map(
      ({ name, root }) => ({
        extends: true as const,
        root,
        // Only against tests that hang: how long one takes depends on what else the machine does.
        test: {
          name,
          isolate: !together.includes(name),
          testTimeout: 120_000,
          setupFiles: [fileURLToPath(new URL("scripts/test/record-limit.ts", import.meta.url))],
          include: ["**/*.test.ts"],
          exclude: ["**/node_modules/**", "**/dist/**"],
        },
      }),
    ),
    passWithNoTests: true,
    // All cores: vitest would leave one for its watcher.
    maxWorkers: availableParallelism(),
    sequence: {
      sequencer: longestFirst(["tcp/src/simulate", "tcp/src/simulate-from-world", "tcp/src/simulate-congested"]),
    },
  },
})
