import { Arena, type Link } from "@demiflow/core"
import { FaultInjector, memoryLinkPair, PacketCapture, Tracer } from "@demiflow/tap"
import { describe } from "vitest"
import { LinkEnd } from "../link-end.ts"
import { RecordingLog } from "../recording-log.ts"
import { VirtualClock } from "../virtual-clock.ts"
import { type FrontendUnderTest, frontendCompliance } from "./frontend.ts"

function setup(wrap: (link: Link) => Link): FrontendUnderTest {
  const arena = new Arena(16 << 20)
  const [own, other] = memoryLinkPair(arena, arena, { capabilities: { mtu: 65_520, headroom: 12 } })
  const end = new LinkEnd(other)
  return {
    link: wrap(own),
    send: (frames) => {
      for (const bytes of frames) end.send({ bytes })
    },
    receive: () => end.receive().map(({ bytes }) => bytes),
    hangUp: () => other.close(),
  }
}

describe("a memory link", () => frontendCompliance(() => setup((link) => link)))
describe("a fault injector without faults", () =>
  frontendCompliance(() => setup((link) => new FaultInjector(link, { clock: new VirtualClock(), seed: 1 }))))
describe("a packet capture", () =>
  frontendCompliance(() => setup((link) => new PacketCapture(link, { write() {} }, { microseconds: 0 }))))
describe("a tracer", () => frontendCompliance(() => setup((link) => new Tracer(link, new RecordingLog("trace")))))
