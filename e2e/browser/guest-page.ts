/** A page with a guest, used as a person would: by its buttons and its keyboard. */
import type { Browser, Page } from "playwright-core"

export interface Result {
  readonly output: string
  readonly status: number
}

export class GuestPage {
  readonly page: Page
  #commands = 0

  private constructor(page: Page) {
    this.page = page
  }

  /** Opens the page, and starts the guest from its saved state. */
  static async start(browser: Browser, url: string): Promise<GuestPage> {
    const page = await browser.newPage()
    page.on("pageerror", (error) => console.error(error))
    await page.goto(url)
    await page.getByRole("button", { name: "Start" }).click()
    const guest = new GuestPage(page)
    await guest.#printed(/guest # $/)
    return guest
  }

  /** Types a command, and waits for its end. */
  async run(command: string): Promise<Result> {
    const mark = `mark${++this.#commands}`
    await this.page.getByLabel("Console").pressSequentially(`echo ${mark}; ${command}; echo ${mark} $?\n`)
    const [, output, status] = await this.#printed(new RegExp(`\\n${mark}\\n([^]*?)${mark} (\\d+)\\n`))
    return { output, status: Number(status) }
  }

  async #printed(pattern: RegExp): Promise<RegExpExecArray> {
    const console = this.page.getByLabel("Console")
    const condition = `new RegExp(${JSON.stringify(pattern.source)}).test(document.querySelector("textarea").value)`
    for (;;) {
      const found = pattern.exec(await console.inputValue())
      if (found !== null) return found
      await this.page.waitForFunction(condition, undefined, { timeout: 0 })
    }
  }
}
