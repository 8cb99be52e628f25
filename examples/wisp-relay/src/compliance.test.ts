/** The suite that all sockets pass, by the relay. */
import { Arena } from "@demiflow/core"
import { socketsCompliance } from "@demiflow/testkit/compliance"
import { TWO_WAY_WISP_CAPABILITIES, WebLoop, WISP_CAPABILITIES, WispSockets } from "@demiflow/web-sockets"
import { describe } from "vitest"
import { onLoopback } from "../../../packages/node-sockets/src/under-test.fixture.ts"
import { TestRelay } from "./test-support.ts"

async function setup(isTwoWay: boolean) {
  const relay = await TestRelay.start()
  const open = isTwoWay ? relay.open : relay.openPlain
  const sockets = new WispSockets(new Arena(8 << 20), new WebLoop(), { open })
  return onLoopback(sockets, () => {
    sockets.disconnect()
    relay.close()
  })
}

describe("with a relay that has the extension", () =>
  socketsCompliance(() => setup(true), { capabilities: TWO_WAY_WISP_CAPABILITIES }))
describe("with a relay of version 1.2 alone", () =>
  socketsCompliance(() => setup(false), { capabilities: WISP_CAPABILITIES }))
