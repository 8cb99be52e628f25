/** What a person starts: an example, and a browser. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { type Browser, chromium } from "playwright-core"
import { closedPort } from "./servers.ts"

const EXAMPLES = join(import.meta.dirname, "../../examples")
const CHROMIUM = "/usr/bin/chromium"

export interface Example {
  /** Where its page is. */
  readonly url: string
  close(): void
}

/** Starts an example that serves a page, and waits until it does. */
export async function startExample(name: string, ...argv: readonly string[]): Promise<Example> {
  const words = [join(EXAMPLES, name, "dist/main.js"), String(await closedPort()), ...argv]
  const program = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] })
  const [line] = await once(program.stdout, "data")
  return { url: String(line).trim(), close: () => program.kill() }
}

/** Opens Chromium, which reaches nothing but this machine. */
export function openBrowser(): Promise<Browser> {
  const hosts = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", hosts] })
}
