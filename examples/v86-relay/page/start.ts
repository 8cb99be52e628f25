/** The page: a guest in v86, its console, the flows of its network, and how fast it downloads. */
import { V86, type V86Options } from "v86"
import { FlowTable } from "./flow-table.ts"
import { machine } from "./machine.mjs"
import type { Emulator, PageNetwork } from "./network.ts"
import { Terminal } from "./terminal.ts"

/** Milliseconds between reports. */
const INTERVAL = 250
/** More characters than a line has that the page waits for. */
const LONGEST_PROMPT = 80
/** Over how many reports a speed is averaged. */
const AVERAGED = 4

const find = <Kind extends HTMLElement = HTMLElement>(id: string): Kind => document.getElementById(id) as Kind

/** Files of a guest, as `scripts/v86-guest` makes them. */
function filesOf(guest: string): Partial<V86Options> {
  const firmware = { bios: { url: "/bios.bin" }, vga_bios: { url: "/vgabios.bin" } }
  if (guest === "state") return { ...firmware, initial_state: { url: "/state" } }
  return { ...firmware, bzimage: { url: "/kernel" }, initrd: { url: "/initramfs" } }
}

/** Starts the guest that is picked, once. */
export function startPage(network: PageNetwork): void {
  const form = document.querySelector("form")
  form?.addEventListener("submit", (event) => {
    event.preventDefault()
    for (const control of [find<HTMLSelectElement>("guest"), ...form.querySelectorAll("button")])
      control.disabled = true
    start(find<HTMLSelectElement>("guest").value, network)
    watch(network)
  })
}

function start(guest: string, network: PageNetwork): void {
  const status = find("status")
  const emulator = new V86({
    ...machine,
    ...filesOf(guest),
    net_device: { ...machine.net_device, ...(network.relayUrl && { relay_url: network.relayUrl }) },
    wasm_path: "/v86.wasm",
    autostart: true,
  })
  network.attach?.(emulator as Emulator)
  const send = (text: string): void => emulator.serial0_send(text)
  const terminal = new Terminal(find<HTMLTextAreaElement>("console"), send)
  const download = find<HTMLButtonElement>("download")
  download.addEventListener("click", () => {
    send(`wget -O /dev/null http://10.0.2.2:${location.port}/kernel\r`)
    find("console").focus()
  })
  let line = ""
  emulator.add_listener("serial0-output-byte", (byte) => {
    const character = String.fromCharCode(byte)
    terminal.print(character)
    line = character === "\n" ? "" : (line + character).slice(0, LONGEST_PROMPT)
    if (line === "Press Enter to connect.") send("\r")
    if (line === "guest # ") download.disabled = false
  })
  emulator.add_listener("download-progress", ({ file_name, loaded, total }) => {
    status.textContent = `Loading ${file_name}: ${Math.floor((100 * loaded) / (total || loaded || 1))}%`
  })
  emulator.add_listener("download-error", ({ file_name }) => {
    status.textContent = `There is no ${file_name}: make the files with node scripts/v86-guest/main.mjs`
  })
  emulator.add_listener("emulator-started", () => {
    status.textContent = "The guest runs."
    find("console").focus()
    // It was saved when it had asked for this.
    if (guest === "state") send("\r")
  })
}

function watch(network: PageNetwork): void {
  const table = new FlowTable(find("flows"))
  const recent: { readonly time: number; readonly bytes: number }[] = []
  let highest = 0
  const update = async (): Promise<void> => {
    const report = await network.report().catch(() => undefined)
    const time = performance.now()
    recent.push({ time, bytes: table.update(report?.flows ?? [], time) })
    const [first] = recent
    if (recent.length > AVERAGED) recent.shift()
    const bytes = recent.reduce((sum, each) => sum + each.bytes, 0)
    const speed = time === first.time ? 0 : bytes / 1_000 / (time - first.time)
    highest = Math.max(highest, speed)
    find("speed").textContent = `Flows. Download: ${speed.toFixed(1)} MB/s, at most ${highest.toFixed(1)} MB/s`
    if (report?.guestPort !== undefined) showPort(report.guestPort)
    setTimeout(update, INTERVAL)
  }
  update()
}

/** The web server in the guest. */
function showPort(port: number): void {
  const link = document.createElement("a")
  link.href = `http://${location.hostname}:${port}/`
  link.target = "_blank"
  link.textContent = link.href
  find("status").replaceChildren("The guest serves ", link)
}
