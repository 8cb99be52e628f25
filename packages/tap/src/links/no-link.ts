import type { Arena, FrameBatch, Link, LinkCapabilities } from "@demiflow/core"

/**
 * The link of a guest without one: no frame arrives, and sent frames are lost. For stacks that have only a local path.
 */
export class NoLink implements Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities = {
    mtu: 65_520,
    headroom: 0,
    checksumOffload: true,
    tcpSegmentation: true,
    udpSegmentation: true,
    smallestFrame: 0,
  }

  constructor(arena: Arena) {
    this.arena = arena
  }

  receive(batch: FrameBatch): number {
    batch.count = 0
    return 0
  }

  send(_batch: FrameBatch, _first: number, count: number): number {
    return count
  }

  close(): void {}
}
