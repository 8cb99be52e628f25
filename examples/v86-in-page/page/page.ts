/** The page: its guest's network is in the page too. What the guest sends and receives leaves it through a relay. */
import { Arena } from "@demiflow/core"
import { createGateway } from "@demiflow/gateway"
import { PacketLink } from "@demiflow/packet-link"
import { WebLoop, WispSockets } from "@demiflow/web-sockets"
import { startPage } from "../../v86-relay/page/start.ts"

const ARENA_BYTES = 32 << 20

/** The guest's network card. */
let receive = (_frame: Uint8Array): void => {}

const arena = new Arena(ARENA_BYTES)
const loop = new WebLoop()
const sockets = new WispSockets(arena, loop, { open: () => new WebSocket(`ws://${location.host}/`) })
// Name servers that the relay reaches may be in the page's address: `?dns=192.0.2.53:5353`.
const [address = "9.9.9.9", port = "53"] = new URLSearchParams(location.search).get("dns")?.split(":") ?? []
const link = (part: Arena): PacketLink => new PacketLink(part, { onFrame: (frame) => receive(frame.slice()) })
const gateway = await createGateway({ link, sockets, loop, nameServers: [{ address, port: Number(port) }] })

startPage({
  attach(emulator) {
    emulator.add_listener("net0-send", (frame) => (gateway.link as PacketLink).push(frame))
    receive = (frame) => emulator.bus.send("net0-receive", frame)
  },
  report: async () => ({ flows: [...gateway.flows] }),
})
