/** The suite that all sockets pass, by a `connect()` that Node.js' sockets stand behind. */
import { Arena } from "@demiflow/core"
import { socketsCompliance } from "@demiflow/testkit/compliance"
import { onLoopback } from "../../../node-sockets/src/under-test.fixture.ts"
import { CONNECT_CAPABILITIES } from "../capabilities.ts"
import { WebLoop } from "../web-loop.ts"
import { ConnectSockets } from "./connect-sockets.ts"
import { nodeConnect } from "./node-connect.fixture.ts"

socketsCompliance(() => onLoopback(new ConnectSockets(new Arena(8 << 20), new WebLoop(), { connect: nodeConnect })), {
  capabilities: CONNECT_CAPABILITIES,
})
