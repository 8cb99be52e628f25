/** What a page needs of its guest's network, wherever that is. */

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

export interface PageNetwork {
  /** Where v86 sends frames. */
  readonly relayUrl: string
  /** Undefined while the guest has no network. */
  report(): Promise<Report | undefined>
}
