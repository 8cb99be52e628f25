/** A console that understands what a shell on a serial line prints, without colours or cursor movements. */
const MOST_CHARACTERS = 100_000
/** Characters of the last line, what is invisible included. */
const LONGEST_LINE = 10_000

/** Keys that send other characters than their own. */
const keys: Readonly<Record<string, string>> = {
  Enter: "\r",
  Backspace: "\x7f",
  Tab: "\t",
  Escape: "\x1b",
  ArrowUp: "\x1b[A",
  ArrowDown: "\x1b[B",
}

/** Shows the text that `print` gets, and passes on what is typed or pasted. */
export class Terminal {
  readonly #element: HTMLTextAreaElement
  /** Lines that have ended. */
  #text = ""
  /** The last line, as it was printed. */
  #line = ""
  #isShown = true

  constructor(element: HTMLTextAreaElement, onInput: (text: string) => void) {
    this.#element = element
    element.addEventListener("keydown", (event) => {
      const text = charactersOf(event)
      if (text === undefined) return
      event.preventDefault()
      onInput(text)
    })
    element.addEventListener("paste", (event) => onInput(event.clipboardData?.getData("text/plain") ?? ""))
  }

  print(text: string): void {
    this.#line += text
    // A hidden page shows nothing for a long time.
    if (this.#line.length > MOST_CHARACTERS) this.#fold()
    if (!this.#isShown) return
    this.#isShown = false
    requestAnimationFrame(() => this.#show())
  }

  #show(): void {
    this.#isShown = true
    this.#fold()
    this.#element.value = this.#text + visible(this.#line)
    this.#element.scrollTop = this.#element.scrollHeight
  }

  /** Lines that have ended become text. */
  #fold(): void {
    const lines = this.#line.split(/\r*\n/)
    this.#line = (lines.pop() ?? "").slice(-LONGEST_LINE)
    for (const line of lines) this.#text += `${visible(line)}\n`
    this.#text = this.#text.slice(-MOST_CHARACTERS)
  }
}

function charactersOf({ key, ctrlKey, altKey, metaKey }: KeyboardEvent): string | undefined {
  if (altKey || metaKey) return undefined
  if (ctrlKey) return /^[a-z]$/.test(key) && key !== "v" ? String.fromCharCode(key.charCodeAt(0) & 31) : undefined
  return keys[key] ?? (key.length === 1 ? key : undefined)
}

const ESCAPE = "\x1b"
/** An escape sequence (ECMA-48, section 5.4), or a bell. */
const INVISIBLE = new RegExp(`${ESCAPE}\\[[0-9;?]*[@-~]|\\x07`, "g")

/** What is visible of a line in the end: characters overwrite others after a backspace or a carriage return. */
function visible(line: string): string {
  const characters: string[] = []
  let column = 0
  for (const character of line.replace(INVISIBLE, "")) {
    if (character === "\b") column = Math.max(0, column - 1)
    else if (character === "\r") column = 0
    else characters[column++] = character
  }
  return characters.join("")
}
