import { expect, it } from "vitest"
import { hasForeign } from "./inherited-descriptors.ts"

/** The descriptors of Node.js 20; "!" marks a pipe that blocks. */
const runtime = [
  "anon_inode:[eventpoll]",
  "!pipe:[1]",
  "!pipe:[1]",
  "pipe:[2]",
  "pipe:[2]",
  "anon_inode:[eventfd]",
  "anon_inode:[eventpoll]",
  "/dev/null",
  "pipe:[3]",
  "pipe:[3]",
  "anon_inode:[eventfd]",
  "anon_inode:[io_uring]",
]

const isForeign = (...more: string[]) =>
  hasForeign(
    [...more, ...runtime].map((text, index) => {
      const what = text.replace("!", "")
      return { number: index + 3, what, isNonBlocking: what === text && what.startsWith("pipe:") }
    }),
  )

it("has nothing against what a runtime opens", () => {
  expect(isForeign()).toBe(false)
  expect(isForeign("/dev/null")).toBe(false)
})

it.each([
  [["socket:[7]"]],
  [["/srv/file"]],
  // One end, which blocks or doesn't.
  [["!pipe:[7]"]],
  [["pipe:[7]"]],
  // Both ends of one pipe, which a caller holds for another child.
  [["!pipe:[7]", "!pipe:[7]"]],
  // Both ends, of more pipes than event loops need.
  [["pipe:[7]", "pipe:[7]"]],
  // One end, twice, of a pipe of the runtime's.
  [["pipe:[2]"]],
  [["/dev/pts/0"]],
  [["anon_inode:[timerfd]"]],
])("knows what the caller has left open: %j", (more) => {
  expect(isForeign(...more)).toBe(true)
})
