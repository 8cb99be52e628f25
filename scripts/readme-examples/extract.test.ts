import { expect, test } from "vitest"
import { examplesIn } from "./extract.mjs"

test("finds blocks of TypeScript only, with their line and words", () => {
  const markdown = [
    "# Title",
    "```sh",
    "npm ci",
    "```",
    "```ts",
    "const one = `1`",
    "",
    "console.log(one)",
    "```",
    "```tsx",
    "<a/>",
    "```",
    "```ts namespace",
    "open()",
    "```",
    "",
  ].join("\n")
  expect(examplesIn(markdown)).toEqual([
    { code: "const one = `1`\n\nconsole.log(one)\n", line: 6, words: [] },
    { code: "open()\n", line: 14, words: ["namespace"] },
  ])
})
