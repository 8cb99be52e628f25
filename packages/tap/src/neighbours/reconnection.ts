/**
 * Detecting another guest after the link was gone and has come back.
 *
 * A hypervisor that reconnects usually runs the same guest, whose connections go on. Two signs indicate another guest.
 * First, the first frame comes from a station that was not known before. Second, within two minutes, the station that
 * had the guest's address sends a DHCPv4 request without naming an address that it had: the guest was restarted. A
 * guest that runs on uses DHCP too when its carrier comes back, but names its address in DHCPv4 (RFC 2131,
 * section 3.7). DHCPv6 shows no difference: clients solicit in both cases. Nothing depends on these signs: the kernel
 * of another guest resets the connections that it doesn't know, one by one.
 */
import type { Clock, MacAddress } from "@demiflow/core"
import { NO_STATION, type Stations } from "./stations.ts"

/** Milliseconds within which a restarted guest reaches DHCP. */
const TIME_TO_START = 120_000

/** Detects whether the guest is another one than before. */
export class Reconnection {
  /** Called for another guest, before anything of it but requests for addresses is handled. */
  onOtherGuest: (() => void) | undefined = undefined
  readonly #clock: Clock
  readonly #stations: Stations
  #isFirstFrame = false
  #isStarted = false
  #at = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, stations: Stations) {
    this.#clock = clock
    this.#stations = stations
  }

  /** Starts watching, because the link is back. */
  begin(): void {
    this.#isFirstFrame = !this.#stations.isEmpty
    this.#isStarted = false
    this.#at = this.#isFirstFrame ? this.#clock.now : Number.NEGATIVE_INFINITY
  }

  /** True until a station's first frame. */
  get awaitsFrame(): boolean {
    return this.#isFirstFrame
  }

  /** Processes the source of a frame, before the frame is handled. */
  frameFrom(station: MacAddress): void {
    this.#isFirstFrame = false
    if (this.#stations.find(station.high, station.low) === NO_STATION) this.#other()
  }

  /** Records that the station with the guest's current or former IPv4 address was started. */
  wasStarted(): void {
    this.#isStarted = this.#clock.now - this.#at < TIME_TO_START
  }

  /** Reports another guest, while nothing is being handled. */
  settle(): void {
    if (this.#isStarted) this.#other()
  }

  #other(): void {
    this.#isStarted = false
    this.#at = Number.NEGATIVE_INFINITY
    this.onOtherGuest?.()
  }
}
