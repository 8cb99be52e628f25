/** The console, without a page. */
import { expect, test } from "vitest"
import { Terminal } from "./terminal.ts"

const frames: (() => void)[] = []
Object.assign(globalThis, { requestAnimationFrame: (frame: () => void) => frames.push(frame) })

function create() {
  const element = { value: "", scrollTop: 0, scrollHeight: 0, addEventListener: () => {} }
  return { element, terminal: new Terminal(element as unknown as HTMLTextAreaElement, () => {}) }
}

function show(): void {
  for (const frame of frames.splice(0)) frame()
}

test("lines are shown as a terminal shows them", () => {
  const { element, terminal } = create()
  terminal.print("one\r\ntwx\bo\x1b[0m\r\n# ")
  show()
  terminal.print("ls")
  show()
  expect(element.value).toBe("one\ntwo\n# ls")
})

test("a line that never ends is kept in part", () => {
  const { element, terminal } = create()
  for (let count = 0; count < 300; count++) {
    terminal.print("0123456789".repeat(100))
    show()
  }
  expect(element.value.length).toBe(10_000)
})
