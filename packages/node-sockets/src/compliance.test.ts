/** The suite that every host passes. */
import { Arena } from "@demiflow/core"
import { socketsCompliance } from "@demiflow/testkit/compliance"
import { NODE_CAPABILITIES } from "./capabilities.ts"
import { NodeLoop } from "./node-loop.ts"
import { NodeSockets } from "./node-sockets.ts"
import { onLoopback } from "./under-test.fixture.ts"

socketsCompliance(() => onLoopback(new NodeSockets(new Arena(8 << 20), new NodeLoop())), {
  capabilities: NODE_CAPABILITIES,
})
