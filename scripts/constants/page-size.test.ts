import { gzipSync } from "node:zlib"
import { build } from "esbuild"
import { expect, test } from "vitest"
import { inlineConstants } from "./inline.mjs"

const MOST = 45_000
/** What a page needs at least for a guest with TCP. */
const page = `
  export { arp } from "@demiflow/arp"
  export { ForwardingPolicy } from "@demiflow/flow"
  export { createStack } from "@demiflow/stack"
  export { tcp } from "@demiflow/tcp"
`

test("a stack in a page, minified and compressed, is at most 45 kB", async () => {
  const { outputFiles } = await build({
    stdin: { contents: page, resolveDir: import.meta.dirname },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    conditions: ["@demiflow/source"],
    plugins: [inlineConstants()],
    write: false,
  })
  const { length } = gzipSync(outputFiles[0].contents, { level: 9 })
  console.log(`${length} bytes`)
  expect(length).toBeLessThanOrEqual(MOST)
})
