/**
 * Writes each case's limit into the results, unless the case wrote one itself. `slow.mjs` compares the limit with the
 * case's duration.
 */
import { afterEach } from "vitest"

declare module "vitest" {
  interface TaskMeta {
    /** Milliseconds. */
    limit?: number
  }
}

afterEach(({ task }) => {
  task.meta.limit ??= task.timeout
})
