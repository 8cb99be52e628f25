import { Address, type ProtocolPlugin } from "@demiflow/core"
import { build, type MemoryStack, memoryStack, payload, RecordingLog } from "@demiflow/testkit"
import { expect } from "vitest"
import { type NdpOptions, ndp } from "./index.ts"

export const GUEST = "2001:db8::2"
export const GATEWAY = "2001:db8::1"
export const NOBODY = "::"
/** How long the neighbour table keeps an announced address, milliseconds. */
export const ADDRESS_LIFETIME = 300_000
export const LINK_LOCAL = "fe80::2"
export const ALL_NODES = "ff02::1"
export const RS = 133
export const RA = 134
export const NS = 135
export const NA = 136

/** The option with the guest's Ethernet address (RFC 4861, section 4.6.1). */
export const sourceLinkLayer: readonly number[] = [1, 1, 2, 0, 0, 0, 0, 2]

export interface Fields {
  source?: string
  target?: string
  hopLimit?: number
  type?: number
  code?: number
  information?: number
  checksum?: number
}

/** A stack with neighbour discovery, and the messages that the guest may send. */
export interface Bench {
  readonly memory: MemoryStack
  readonly guest: MemoryStack["guest"]
  readonly drops: MemoryStack["drops"]
  readonly tap: MemoryStack["tap"]
  readonly log: RecordingLog
  readonly send: (body: readonly number[], fields?: Fields) => void
  readonly solicit: (asked: string, fields?: Fields, options?: readonly number[]) => void
  readonly detect: (asked: string) => void
  readonly advertise: (target: string, fields?: Fields) => void
  /** Returns the flags of the answer, as letters; undefined if there is none. Checks the rest of the answer. */
  readonly answer: (asked: string, to?: string) => string | undefined
  /** Solicits, and returns the flags of the answer, as `answer` does. */
  readonly ask: (asked: string, fields?: Fields) => string | undefined
}

export function setUp(options: NdpOptions = {}, others: ProtocolPlugin[] = []): Bench {
  const log = new RecordingLog()
  const plugin = ndp({ guestAddress: Address.parse(GUEST), ourAddresses: [Address.parse(GATEWAY)], ...options })
  const memory = memoryStack([plugin, ...others], { log })
  const { guest, drops, tap } = memory
  const send = (body: readonly number[], fields: Fields = {}) => {
    const { source = LINK_LOCAL, target = ALL_NODES, hopLimit = 255, type = RS, ...icmp } = fields
    guest.send(
      build.ipv6({ source, target, hopLimit }),
      build.icmpv6({ type, ...icmp }),
      payload(Uint8Array.from(body)),
    )
  }
  const solicit = (asked: string, fields: Fields = {}, options: readonly number[] = sourceLinkLayer) =>
    send([...Address.parse(asked).toBytes(), ...options], { type: NS, target: solicitedNode(asked), ...fields })
  const detect = (asked: string) => solicit(asked, { source: NOBODY }, [])
  const advertise = (target: string, fields: Fields = {}) =>
    send([...Address.parse(target).toBytes()], { type: NA, ...fields })
  const answer = (asked: string, to = LINK_LOCAL): string | undefined => {
    const frames = guest.takeAll()
    if (frames.length === 0) return undefined
    const [frame] = frames
    expect(frames).toHaveLength(1)
    expect([frame.problems, frame.icmp?.type, frame.icmp?.code, frame.ip?.hopLimit]).toEqual([[], NA, 0, 255])
    expect(frame.ip?.target).toEqual(Address.parse(to))
    const hex = Buffer.from(frame.payload).toString("hex")
    const mac = tap.ourMac.toString().replaceAll(":", "")
    expect(hex).toBe(`${Buffer.from(Address.parse(asked).toBytes()).toString("hex")}0201${mac}`)
    const flags = (frame.icmp?.information ?? 0) >>> 24
    return ["R", "S", "O"].filter((_letter, index) => (flags & (0x80 >> index)) !== 0).join("")
  }
  const ask = (asked: string, fields: Fields = {}) => {
    solicit(asked, fields)
    return answer(asked, fields.source)
  }
  return { memory, guest, drops, tap, log, send, solicit, detect, advertise, answer, ask }
}

export function solicitedNode(address: string): string {
  const { word3 } = Address.parse(address)
  return new Address(0xff020000, 0, 1, 0xff000000 | (word3 & 0xffffff)).toString()
}
