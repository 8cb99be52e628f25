/** What a page needs of its guest's network, wherever that is. */
import type { V86 } from "v86"

export interface FlowEnd {
  readonly address: string
  readonly port: number
}

export interface Flow {
  readonly protocol: string
  readonly isFromGuest: boolean
  readonly guest: FlowEnd
  readonly outside: FlowEnd
  readonly state?: string
  readonly bytesFromGuest?: number
  readonly bytesToGuest?: number
}

export interface Report {
  /** The port of this machine that leads to the guest, if there is one. */
  readonly guestPort?: number
  readonly flows: readonly Flow[]
}

/** v86, with what it documents and doesn't declare. */
export type Emulator = V86 & { readonly bus: { send(name: "net0-receive", frame: Uint8Array): void } }

export interface PageNetwork {
  /** Where v86 sends frames, if that is a WebSocket. */
  readonly relayUrl?: string
  /** Takes the emulator's frames otherwise. */
  attach?(emulator: Emulator): void
  /** Undefined while the guest has no network. */
  report(): Promise<Report | undefined>
}
