/** A console that understands what a shell on a serial line prints, without colours or cursor movements. */
const MOST_CHARACTERS = 100_000

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
  #text = ""
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
    this.#text += text
    if (!this.#isShown) return
    this.#isShown = false
    requestAnimationFrame(() => this.#show())
  }

  #show(): void {
    this.#isShown = true
    this.#text = plain(this.#text).slice(-MOST_CHARACTERS)
    this.#element.value = this.#text
    this.#element.scrollTop = this.#element.scrollHeight
  }
}

function charactersOf({ key, ctrlKey, altKey, metaKey }: KeyboardEvent): string | undefined {
  if (altKey || metaKey) return undefined
  if (ctrlKey) return /^[a-z]$/.test(key) && key !== "v" ? String.fromCharCode(key.charCodeAt(0) & 31) : undefined
  return keys[key] ?? (key.length === 1 ? key : undefined)
}

const ESCAPE = "\x1b"
/** An escape sequence (ECMA-48, section 5.4), or a character that shows nothing. */
const INVISIBLE = new RegExp(`${ESCAPE}\\[[0-9;?]*[@-~]|\\x07|\\r`, "g")
const BACKSPACE = "\b"

/** Without escape sequences that are complete, and with backspaces carried out. */
function plain(text: string): string {
  let result = text.replace(INVISIBLE, "")
  for (;;) {
    const place = result.indexOf(BACKSPACE)
    if (place < 0) return result
    result = result.slice(0, Math.max(0, place - 1)) + result.slice(place + 1)
  }
}
