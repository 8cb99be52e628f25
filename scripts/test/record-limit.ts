/**
 * Writes each case's limit into the results, for `slow.mjs` to compare with what the case took; unless a case wrote one
 * itself.
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
