import { TurnLoop } from "@demiflow/sockets-kit"

/** An event loop for any number of stacks in a page, by messages to itself and timers. */
export class WebLoop extends TurnLoop {}
