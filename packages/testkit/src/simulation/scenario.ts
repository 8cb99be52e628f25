import type { LinkCapabilities } from "@demiflow/core"
import type { Faults } from "@demiflow/tap"
import type { GuestConnectionOptions } from "../guest/connection-types.ts"
import type { SimulatedSocketsOptions } from "../host/simulated-sockets-options.ts"
import type { SocketFaults } from "../host/socket-faults.ts"
import type { ConnectOutcome } from "../host/world-connection.ts"
import type { SeededRandom } from "../seeded-random.ts"
import type { SlowLinkOptions } from "../slow-link.ts"
import { drawPlan, type PartyPlan } from "./party.ts"

/** One connection of a simulation. */
export interface ConnectionPlan {
  /**
   * Which end connects: the guest to a server in the world, or a client in the world to the guest, through the host.
   */
  readonly startedBy: "guest" | "world"
  readonly isV4: boolean
  /** The guest's address that the connection uses. */
  readonly guestAddress: string
  readonly worldAddress: string
  /** The port of the end that accepts: the server in the world, or the host. */
  readonly port: number
  /** When the connection begins, milliseconds. */
  readonly startsAt: number
  /** The outcome of the host's connect; where the world begins, whether the guest accepts, refuses or is silent. */
  readonly outcome: ConnectOutcome
  /** How long the server takes to accept, and the bytes that it takes at a time. */
  readonly acceptDelay: number
  readonly worldBuffer: number
  readonly options: GuestConnectionOptions
  readonly guest: PartyPlan
  readonly world: PartyPlan
  /** When the guest forgets the connection silently, milliseconds after the beginning. */
  readonly vanishesAfter: number | undefined
  /** Milliseconds from the end of the connection until it begins anew from the same port. */
  readonly repeatsAfter: number | undefined
  /** For a connection that begins anew: its port, and the guest's first sequence number. */
  readonly successor?: { readonly fromPort: number; readonly initialSequence: number }
}

/** Everything that a seed decides. */
export interface Scenario {
  readonly link: Partial<LinkCapabilities>
  readonly sockets: Omit<SimulatedSocketsOptions, "clock" | "arena">
  readonly hostFaults: Partial<SocketFaults>
  /** Maximum number of flows. */
  readonly capacity: number
  /** Faults of the link, until {@link Scenario.faultsUntil}. */
  readonly fromGuest: Faults
  readonly toGuest: Faults
  /** The pace of a guest that takes frames slowly. */
  readonly slowGuest: SlowLinkOptions | undefined
  /** Milliseconds after which the link's faults end, so that everything can end. */
  readonly faultsUntil: number
  readonly connections: readonly ConnectionPlan[]
}

const GUEST_V4 = ["192.0.2.2", "192.0.2.3", "10.9.8.7"]
const GUEST_V6 = ["2001:db8::2", "2001:db8::beef", "fd00::7"]
const GUEST_FAILURES: readonly ConnectOutcome[] = ["refuse", "unreachable", "silent", "noRoute"]
const WORLD_FAILURES: readonly ConnectOutcome[] = ["refuse", "silent"]
const SIZES = [0, 1, 100, 3_000, 20_000, 150_000]

/** Draws a scenario. */
export function drawScenario(random: SeededRandom): Scenario {
  const offload = random.pick(["none", "none", "checksum", "all"])
  const mtu = random.pick([1_500, 1_500, 1_280, 9_000, 65_520])
  const severity = random.pick([0, 0, 1, 1, 2])
  const faults = () => drawFaults(random, severity, offload === "none")
  return {
    link: { mtu, checksumOffload: offload !== "none", tcpSegmentation: offload === "all" },
    sockets: drawHost(random),
    hostFaults: drawHostFaults(random),
    capacity: random.chance(0.05) ? random.between(1, 3) : 1_024,
    fromGuest: faults(),
    toGuest: faults(),
    slowGuest: random.chance(0.25)
      ? { bytes: random.pick([1_500, 20_000, 200_000]), interval: random.pick([1, 5, 40]) }
      : undefined,
    faultsUntil: random.between(5_000, 60_000),
    connections: Array.from({ length: random.pick([1, 1, 2, 6]) }, (_, index) => drawConnection(random, index)),
  }
}

function drawFaults(random: SeededRandom, severity: number, mayCorrupt: boolean): Faults {
  if (severity === 0) return { delay: random.pick([0, 0, 10]) }
  const most = severity === 1 ? 0.05 : 0.25
  const probability = () => (random.chance(0.5) ? random.below(1_000 * most) / 1_000 : 0)
  return {
    loss: probability(),
    duplication: probability(),
    reordering: probability(),
    corruption: mayCorrupt ? probability() / 2 : 0,
    reorderingDelay: random.between(1, 50),
    delay: random.pick([0, 5, 60]),
    jitter: random.pick([0, 0, 10]),
  }
}

function drawHost(random: SeededRandom): Scenario["sockets"] {
  const sendBuffer = random.pick([200, 5_000, 131_072, 131_072, 1 << 20])
  return {
    rtt: random.pick([0, 0, 1, 20, 200]),
    jitter: random.pick([0, 0, 7]),
    sendBuffer,
    sendBufferSize: Math.ceil(sendBuffer * random.pick([0.7, 1, 1.3, 2])),
    receiveBuffer: random.pick([16_384, 131_072, 131_072, 1 << 20]),
    connectTimeout: 20_000,
    descriptors: random.chance(0.05) ? random.below(4) : 1_000,
  }
}

function drawHostFaults(random: SeededRandom): Partial<SocketFaults> {
  if (random.chance(0.4)) return {}
  return {
    partialSend: random.pick([0, 0.1, 0.5]),
    lateEvent: random.pick([0, 0.2]),
    lateness: random.between(1, 30),
    spuriousEvent: random.pick([0, 0.2]),
    betweenCalls: random.pick([0, 0.05, 0.5]),
    mostBetweenCalls: random.pick([1, 2, 5]),
  }
}

function drawConnection(random: SeededRandom, index: number): ConnectionPlan {
  const isV4 = random.chance(0.5)
  const startedBy = random.chance(0.3) ? "world" : "guest"
  const failures = startedBy === "guest" ? GUEST_FAILURES : WORLD_FAILURES
  const [up, down] = [random.pick(SIZES), random.pick(SIZES)]
  const isGuestLast = random.chance(0.5)
  const guest = drawPlan(random, down, up, isGuestLast)
  // One party has to end first.
  const world = drawPlan(random, up, down, !isGuestLast && random.chance(0.5))
  // A small window takes many round trips, so sizes are small as well, and the run ends.
  const receiveBuffer = down > 20_000 ? random.pick([20_000, 65_535, 1 << 20]) : random.pick([300, 3_000, 65_535])
  return {
    startedBy,
    isV4,
    guestAddress: random.pick(isV4 ? GUEST_V4 : GUEST_V6),
    worldAddress: isV4 ? `198.51.100.${index + 1}` : `2001:db8:1::${index + 1}`,
    port: 1_000 + index,
    startsAt: random.below(500),
    outcome: random.chance(0.9) ? "accept" : random.pick(failures),
    acceptDelay: random.pick([0, 0, 3, 2_500]),
    worldBuffer: up > 20_000 ? random.pick([20_000, 131_072]) : random.pick([200, 4_000, 131_072]),
    options: {
      receiveBuffer,
      windowScale: random.pick<GuestConnectionOptions["windowScale"]>([undefined, 0, 2, 7, "none"]),
      mss: random.pick([undefined, undefined, 536, 100]),
      acknowledgementDelay: random.pick([0, 40]),
      cutsAtRandom: random.chance(0.3),
      usesSegmentationOffload: random.chance(0.7),
      advertisesEveryWindow: random.chance(0.2),
      // Often a number that wraps around during the transfer.
      initialSequence: random.chance(0.3) ? -random.below(200_000) : random.int32(),
    },
    guest,
    world,
    vanishesAfter: random.chance(0.05) ? random.below(3_000) : undefined,
    repeatsAfter: random.chance(0.2) ? random.pick([0, 1, 700, 3_000]) : undefined,
  }
}
