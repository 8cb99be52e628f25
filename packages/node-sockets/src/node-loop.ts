import { TurnLoop } from "@demiflow/sockets-kit"

/** An event loop for any number of stacks, by the runtime's immediates and timers. */
export class NodeLoop extends TurnLoop {}
