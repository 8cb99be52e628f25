/** The table of flows: those that are live, and for a while those that have ended. */
import type { Flow, FlowEnd } from "./network.ts"

/** How long an ended flow is shown, milliseconds. */
const SHOWN = 30_000

interface Row {
  flow: Flow
  /** When it was live the last time. */
  seen: number
}

export class FlowTable {
  readonly #body: HTMLElement
  readonly #rows = new Map<string, Row>()

  constructor(body: HTMLElement) {
    this.#body = body
  }

  /** Returns the bytes that guests have received since the last time. */
  update(flows: readonly Flow[], now: number): number {
    let received = 0
    for (const flow of flows) {
      const key = `${flow.protocol} ${textOf(flow.guest)} ${textOf(flow.outside)} ${flow.isFromGuest}`
      const before = this.#rows.get(key)?.flow.bytesToGuest ?? 0
      received += Math.max(0, (flow.bytesToGuest ?? 0) - before)
      this.#rows.set(key, { flow, seen: now })
    }
    for (const [key, { seen }] of this.#rows) if (now - seen > SHOWN) this.#rows.delete(key)
    this.#body.replaceChildren(...[...this.#rows.values()].reverse().map((row) => rowOf(row, row.seen === now)))
    return received
  }
}

function rowOf({ flow }: Row, isLive: boolean): HTMLTableRowElement {
  const { protocol, isFromGuest, guest, outside, state = "", bytesFromGuest = 0, bytesToGuest = 0 } = flow
  const row = document.createElement("tr")
  row.className = isLive ? "" : "over"
  const ends = [`${textOf(guest)} ${isFromGuest ? "→" : "←"}`, textOf(outside)]
  for (const text of [protocol, ...ends, isLive ? state : "ended"]) row.insertCell().textContent = text
  for (const bytes of [bytesFromGuest, bytesToGuest]) {
    const cell = row.insertCell()
    cell.className = "bytes"
    cell.textContent = bytes.toLocaleString("en")
  }
  return row
}

function textOf({ address, port }: FlowEnd): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`
}
