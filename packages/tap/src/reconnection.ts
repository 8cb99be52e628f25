/**
 * A link that was gone and is there again: is it the same guest?
 *
 * A hypervisor that connects again mostly runs the same guest, whose connections go on. Two signs show another guest. The
 * first frame comes from a station that was not known before. Or within two minutes, the station that had the guest's
 * address asks for one by DHCPv4 and names none that it had: the guest was started again. A guest that runs on asks by DHCP
 * as well when its carrier comes back, but names its address in DHCPv4 (RFC 2131, section 3.7). In DHCPv6 there is no
 * difference: clients solicit in both cases. Nothing depends on these signs: the kernel of another guest resets the
 * connections that it doesn't know, one by one.
 */
import type { Clock, MacAddress } from "@demiflow/core"
import { NO_STATION, type Stations } from "./stations.ts"

/** Milliseconds within which a guest that was started again has come as far as DHCP. */
const TIME_TO_START = 120_000

/** Finds out whether the guest is another one than before. */
export class Reconnection {
  /** Called when it is another guest, with nothing of it handled yet but questions. */
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

  /** The link is there again. */
  begin(): void {
    this.#isFirstFrame = !this.#stations.isEmpty
    this.#isStarted = false
    this.#at = this.#isFirstFrame ? this.#clock.now : Number.NEGATIVE_INFINITY
  }

  /** True until the first frame of a station. */
  get awaitsFrame(): boolean {
    return this.#isFirstFrame
  }

  /** A frame is about to be handled, which came from the station. */
  frameFrom(station: MacAddress): void {
    this.#isFirstFrame = false
    if (this.#stations.find(station.high, station.low) === NO_STATION) this.#other()
  }

  /** The station that has, or had, the guest's IPv4 address was started. */
  wasStarted(): void {
    this.#isStarted = this.#clock.now - this.#at < TIME_TO_START
  }

  /** Nothing is being handled. */
  settle(): void {
    if (this.#isStarted) this.#other()
  }

  #other(): void {
    this.#isStarted = false
    this.#at = Number.NEGATIVE_INFINITY
    this.onOtherGuest?.()
  }
}
