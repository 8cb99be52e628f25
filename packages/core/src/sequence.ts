import { Demiflow, Interface } from "./demiflow.ts"
import { MacAddress } from "./mac-address.ts"

/**
 * Neighbouring packets from the guest that share one layer-4 tuple, source address included.
 *
 * Everything names arena offsets, checked by the tap layer: network and transport header lie inside the frame, the
 * fields of the network header are consistent, fragments are put together. What the transport header says is the
 * handler's to check, up to `endOffset`. Valid only during the call that hands it over.
 */
export class Sequence {
  /** Tap side: the packets' source is the correspondent, their destination the forwarding end. */
  readonly demiflow: Demiflow = new Demiflow(Interface.tap)
  /** EtherType: 0x0800, 0x86dd, 0x0806, … */
  etherType = 0
  /** IP protocol number, after extension headers; -1 if the frame is not IP. */
  protocol = -1
  /** Ethernet source of the first packet. */
  readonly sourceMac: MacAddress = new MacAddress()
  /** Ethernet destination of the first packet. */
  readonly targetMac: MacAddress = new MacAddress()
  /** Number of packets; the arrays below are filled up to it. */
  count = 0
  /** Arena offset of the network header. */
  readonly networkOffset: Int32Array
  /** Arena offset of the transport header. */
  readonly transportOffset: Int32Array
  /** Arena offset behind the last byte of transport payload. */
  readonly endOffset: Int32Array
  /** Payload bytes of each segment, if the packet is several that a sender's offload left together; else 0. */
  readonly segmentSize: Int32Array
  /** IPv4 time to live or IPv6 hop limit. */
  readonly hopLimit: Uint8Array
  /** IPv4 type of service or IPv6 traffic class: DSCP and ECN. */
  readonly trafficClass: Uint8Array
  /** 1 where nobody on the way may fragment the packet: IPv4 that says so, IPv6 that its source left whole. */
  readonly dontFragment: Uint8Array
  /** 1 where the link vouches for the transport checksum, 0 where it has to be verified. */
  readonly checksumTrusted: Uint8Array

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
