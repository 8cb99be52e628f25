import {
  type Address,
  type Arena,
  CHECKSUM_DONE,
  Demiflow,
  finishChecksum,
  type Guest,
  ICMP_CHECKSUM,
  ICMP_TYPE,
  IcmpType,
  Icmpv6Type,
  Interface,
  IpProtocol,
  type Sequence,
} from "@demiflow/core"

/** 224.0.0.1, all hosts (RFC 1112, section 4). */
const ALL_HOSTS_V4 = 0xe0000001 | 0
/** ff02::, link-local groups (RFC 4291, section 2.7.1). */
const LINK_GROUPS = 0xff020000 | 0
const ALL_NODES = 1
const ALL_ROUTERS = 2
/** ff02::1:ff00:0/104 is followed by the last 24 bits of a node's address. */
const SOLICITED_NODE_WORD2 = 1
const SOLICITED_NODE_PREFIX = 0xff
const REPLY_HOP_LIMIT = 64

/**
 * Answers echo requests ourselves: those to groups that we are in as a node of the guest's link, from an address of
 * ours (RFC 4443, section 4.2; RFC 1122, section 3.2.2.6, allows it), and those that a host without ping sockets can't
 * answer.
 */
export class OwnEcho {
  readonly #arena: Arena
  readonly #guest: Guest
  readonly #v4: Readonly<Address> | undefined
  readonly #v6: Readonly<Address> | undefined
  readonly #solicited: readonly number[]
  readonly #answer = new Demiflow(Interface.tap)

  /** @param ourAddresses on the guest's link; replies come from the first one of each family */
  constructor(arena: Arena, guest: Guest, ourAddresses: readonly Readonly<Address>[]) {
    this.#arena = arena
    this.#guest = guest
    this.#v4 = ourAddresses.find((address) => address.isV4)
    this.#v6 = ourAddresses.find((address) => !address.isV4)
    this.#solicited = ourAddresses.filter((address) => !address.isV4).map((address) => address.word3 & 0xffffff)
  }

  /** Answers a sound echo request to such a group. Returns false if it is to none, or its source isn't unicast. */
  answersGroup(sequence: Sequence, index: number): boolean {
    const { forwardingAddress, correspondentAddress } = sequence.demiflow
    const from = this.#ownAddressIn(forwardingAddress)
    if (from === undefined || !correspondentAddress.isUnicast) return false
    this.answer(sequence, index, from)
    return true
  }

  /** Answers a sound echo request. @param from source of the reply */
  answer({ demiflow, transportOffset, endOffset }: Sequence, index: number, from: Readonly<Address>): void {
    const request = transportOffset[index]
    const length = endOffset[index] - request
    const isV4 = from.isV4
    // RFC 4443 4.2 (group) MUST: a reply to a request to a group comes from a unicast address of ours
    this.#answer.forwardingAddress.copyFrom(from)
    this.#answer.correspondentAddress.copyFrom(demiflow.correspondentAddress)
    const protocol = isV4 ? IpProtocol.icmp : IpProtocol.icmpv6
    const reply = this.#guest.begin(this.#answer, protocol, length, REPLY_HOP_LIMIT)
    if (reply < 0) return
    const { view } = this.#arena
    this.#arena.copy(request, reply, length)
    view.setUint8(reply + ICMP_TYPE, isV4 ? IcmpType.echoReply : Icmpv6Type.echoReply)
    view.setUint16(reply + ICMP_CHECKSUM, 0)
    // ICMP has no pseudo-header, which `Guest.end` would include.
    if (isV4) view.setUint16(reply + ICMP_CHECKSUM, finishChecksum(this.#arena.sum(reply, length, 0)))
    this.#guest.end(reply, length, isV4 ? CHECKSUM_DONE : ICMP_CHECKSUM)
  }

  #ownAddressIn(group: Address): Readonly<Address> | undefined {
    if (group.isV4) return group.word3 === ALL_HOSTS_V4 ? this.#v4 : undefined
    if (group.word0 !== LINK_GROUPS || group.word1 !== 0) return undefined
    const last = group.word3
    if (group.word2 === 0) return last === ALL_NODES || last === ALL_ROUTERS ? this.#v6 : undefined
    if (group.word2 !== SOLICITED_NODE_WORD2 || last >>> 24 !== SOLICITED_NODE_PREFIX) return undefined
    return this.#solicited.includes(last & 0xffffff) ? this.#v6 : undefined
  }
}
