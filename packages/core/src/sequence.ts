import { Demiflow, Interface } from "./demiflow.ts"
import { MacAddress } from "./mac-address.ts"

/**
 * Consecutive packets from the guest that share one layer-4 tuple, source address included. A packet of a protocol
 * without ports is always alone in its sequence.
 *
 * All offsets are arena offsets that the tap layer has checked: network and transport header lie inside the frame, the
 * fields of the network header are consistent, fragments are reassembled. The handler must check the transport header,
 * up to `endOffset`. Valid only during the call that hands the sequence over. Handlers leave it as it is: another one
 * may be offered the same sequence.
 */
export interface Sequence {
  /** Tap side: the packets' source is the correspondent, their destination the forwarding end. */
  readonly demiflow: Readonly<Demiflow>
  /** EtherType: 0x0800, 0x86dd, 0x0806, … */
  readonly etherType: number
  /** IP protocol number, after extension headers; -1 if the frame is not IP. */
  readonly protocol: number
  /** Ethernet source of the first packet. */
  readonly sourceMac: Readonly<MacAddress>
  /** Ethernet destination of the first packet. */
  readonly targetMac: Readonly<MacAddress>
  /** Number of packets; the arrays below are filled up to it. */
  readonly count: number
  /** Arena offset of the network header. */
  readonly networkOffset: ArrayLike<number>
  /** Arena offset of the transport header. */
  readonly transportOffset: ArrayLike<number>
  /** Arena offset behind the last byte of transport payload. */
  readonly endOffset: ArrayLike<number>
  /** Payload bytes of each segment, if the sender's offload left several segments in one packet; else 0. */
  readonly segmentSize: ArrayLike<number>
  /** IPv4 time to live or IPv6 hop limit. */
  readonly hopLimit: ArrayLike<number>
  /** IPv4 type of service or IPv6 traffic class: DSCP and ECN. */
  readonly trafficClass: ArrayLike<number>
  /** 1 where no router may fragment the packet: IPv4 with "don't fragment", IPv6 not fragmented by its source. */
  readonly dontFragment: ArrayLike<number>
  /** 1 where the link vouches for the transport checksum, 0 where it must be verified. */
  readonly checksumTrusted: ArrayLike<number>
}

/** A sequence that is being filled, by the tap layer or a test. */
export class SequenceBuffer implements Sequence {
  readonly demiflow: Demiflow = new Demiflow(Interface.tap)
  etherType = 0
  protocol = -1
  readonly sourceMac: MacAddress = new MacAddress()
  readonly targetMac: MacAddress = new MacAddress()
  count = 0
  readonly networkOffset: Int32Array
  readonly transportOffset: Int32Array
  readonly endOffset: Int32Array
  readonly segmentSize: Int32Array
  readonly hopLimit: Uint8Array
  readonly trafficClass: Uint8Array
  readonly dontFragment: Uint8Array
  readonly checksumTrusted: Uint8Array

  /** @param capacity most packets */
  constructor(capacity: number) {
    this.networkOffset = new Int32Array(capacity)
    this.transportOffset = new Int32Array(capacity)
    this.endOffset = new Int32Array(capacity)
    this.segmentSize = new Int32Array(capacity)
    this.hopLimit = new Uint8Array(capacity)
    this.trafficClass = new Uint8Array(capacity)
    this.dontFragment = new Uint8Array(capacity)
    this.checksumTrusted = new Uint8Array(capacity)
  }
}
