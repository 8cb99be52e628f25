import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { Arena } from "@demiflow/core"
import { type FrontendUnderTest, frontendCompliance } from "@demiflow/testkit/compliance"
import { describe, expect, it } from "vitest"
import { StreamLink } from "./stream-link.ts"

/** Both ends of a UNIX socket. */
async function socketPair(): Promise<[Socket, Socket, () => void]> {
  const folder = mkdtempSync(join(tmpdir(), "stream-link-"))
  const server = createServer().listen(join(folder, "socket"))
  const first = connect(join(folder, "socket"))
  const [second] = (await once(server, "connection")) as [Socket]
  return [
    first,
    second,
    () => {
      server.close()
      rmSync(folder, { recursive: true })
    },
  ]
}

function frameMessage(frame: Uint8Array): Buffer {
  const message = Buffer.alloc(4 + frame.length)
  message.writeUInt32BE(frame.length)
  message.set(frame, 4)
  return message
}

async function setup(mtu: number): Promise<FrontendUnderTest> {
  const [own, other, close] = await socketPair()
  let arrived = Buffer.alloc(0)
  other.on("data", (piece) => {
    arrived = Buffer.concat([arrived, piece])
  })
  return {
    link: new StreamLink(new Arena(8 << 20), own, { mtu }),
    send(frames) {
      for (const frame of frames) other.write(frameMessage(frame))
    },
    receive() {
      const frames: Uint8Array[] = []
      while (arrived.length >= 4 && arrived.length >= 4 + arrived.readUInt32BE(0)) {
        const end = 4 + arrived.readUInt32BE(0)
        frames.push(new Uint8Array(arrived.subarray(4, end)))
        arrived = arrived.subarray(end)
      }
      return frames
    },
    turn: () => setImmediate(),
    hangUp: () => void other.destroy(),
    close() {
      other.destroy()
      close()
    },
  }
}

// The suite that demiflow's own links pass.
describe("a link over a stream", () => frontendCompliance(() => setup(1_500)))
describe("a link over a stream with large frames", () => frontendCompliance(() => setup(65_520)))

it("drops frames of impossible lengths, and goes on", async () => {
  const [own, other, close] = await socketPair()
  let isReady = false
  const onReady = () => {
    isReady = true
  }
  const link = new StreamLink(new Arena(1 << 20), own, { onReady })
  other.write(Buffer.concat([frameMessage(new Uint8Array(3)), frameMessage(new Uint8Array(5_000))]))
  while (link.dropped < 2) await setImmediate()
  expect(isReady).toBe(true)
  link.close()
  other.destroy()
  close()
})
