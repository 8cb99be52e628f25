/**
 * The messages of a front end: their numbers, payloads and descriptors.
 *
 * Source: QEMU's documentation, "Vhost-user Protocol" (docs/interop/vhost-user.rst). A message has a header of three
 * 32-bit numbers, request, flags and bytes of the payload, and then the payload. All numbers are in the machine's byte
 * order.
 */

/** Bytes of the header. */
export const MESSAGE_HEADER_BYTES = 12

/** Bits of a message's flags. The lowest two are the version. */
export const MessageBit = { versionMask: 3, version: 1, reply: 4, needsReply: 8 } as const

/** Requests of the front end. */
export const Request = {
  getFeatures: 1,
  setFeatures: 2,
  setOwner: 3,
  resetOwner: 4,
  setMemoryTable: 5,
  setLogBase: 6,
  setLogDescriptor: 7,
  setRingEntries: 8,
  setRingAddresses: 9,
  setRingBase: 10,
  getRingBase: 11,
  setRingKick: 12,
  setRingCall: 13,
  setRingError: 14,
  getProtocolFeatures: 15,
  setProtocolFeatures: 16,
  getQueueCount: 17,
  setRingEnabled: 18,
  setMtu: 20,
  resetDevice: 34,
  getMemorySlots: 36,
  addMemoryRegion: 37,
  removeMemoryRegion: 38,
  setStatus: 39,
  getStatus: 40,
} as const

/** Most regions of one memory table. */
export const TABLE_REGIONS = 8
/** Bytes of a region's description: address in the guest, bytes, address in the front end, offset in the file. */
export const REGION_BYTES = 32
/** Bytes before the regions of a table: their number, and padding. */
export const TABLE_HEADER_BYTES = 8
/** Bytes before a single region. */
export const SINGLE_REGION_PADDING = 8
/** Most descriptors of one message. */
export const MESSAGE_DESCRIPTORS = 8
/** Most bytes of a payload: more than that of any message that is known, so that unknown ones can be answered. */
export const LONGEST_PAYLOAD = 512

/** The bit of the payload of kick, call and error by which no descriptor follows. */
export const NO_DESCRIPTOR = 0x100
/** The bits of that payload with the ring's number. */
export const RING_MASK = 0xff
/** The bit of a ring's flags by which writes to its used ring are logged. */
export const RING_LOGS = 1

const NONE = 0
const NUMBER = 8
/** A ring's number, and a value for it; 32 bits each. */
const RING_VALUE = 8
/** A ring's number and flags, 32 bits each, and four addresses. */
const RING_ADDRESSES = 40
const LOG = 16

/** What a message looks like. */
export interface Layout {
  /** How errors refer to it. */
  readonly name: string
  /** Bytes of its payload. Those of a memory table depend on its number of regions: the least. */
  readonly bytes: number
  /** True if it has a reply of its own. All others are answered only where that was agreed on. */
  readonly hasReply?: boolean
  /** True if descriptors may come with it. Those of other messages are closed. */
  readonly takesDescriptors?: boolean
}

/** By request. */
export const LAYOUTS: ReadonlyMap<number, Layout> = new Map<number, Layout>([
  [Request.getFeatures, { name: "GET_FEATURES", bytes: NONE, hasReply: true }],
  [Request.setFeatures, { name: "SET_FEATURES", bytes: NUMBER }],
  [Request.setOwner, { name: "SET_OWNER", bytes: NONE }],
  [Request.resetOwner, { name: "RESET_OWNER", bytes: NONE }],
  [Request.setMemoryTable, { name: "SET_MEM_TABLE", bytes: TABLE_HEADER_BYTES, takesDescriptors: true }],
  [Request.setLogBase, { name: "SET_LOG_BASE", bytes: LOG, hasReply: true, takesDescriptors: true }],
  [Request.setLogDescriptor, { name: "SET_LOG_FD", bytes: NONE }],
  [Request.setRingEntries, { name: "SET_VRING_NUM", bytes: RING_VALUE }],
  [Request.setRingAddresses, { name: "SET_VRING_ADDR", bytes: RING_ADDRESSES }],
  [Request.setRingBase, { name: "SET_VRING_BASE", bytes: RING_VALUE }],
  [Request.getRingBase, { name: "GET_VRING_BASE", bytes: RING_VALUE, hasReply: true }],
  [Request.setRingKick, { name: "SET_VRING_KICK", bytes: NUMBER, takesDescriptors: true }],
  [Request.setRingCall, { name: "SET_VRING_CALL", bytes: NUMBER, takesDescriptors: true }],
  [Request.setRingError, { name: "SET_VRING_ERR", bytes: NUMBER, takesDescriptors: true }],
  [Request.getProtocolFeatures, { name: "GET_PROTOCOL_FEATURES", bytes: NONE, hasReply: true }],
  [Request.setProtocolFeatures, { name: "SET_PROTOCOL_FEATURES", bytes: NUMBER }],
  [Request.getQueueCount, { name: "GET_QUEUE_NUM", bytes: NONE, hasReply: true }],
  [Request.setRingEnabled, { name: "SET_VRING_ENABLE", bytes: RING_VALUE }],
  [Request.setMtu, { name: "NET_SET_MTU", bytes: NUMBER }],
  [Request.resetDevice, { name: "RESET_DEVICE", bytes: NONE }],
  [Request.getMemorySlots, { name: "GET_MAX_MEM_SLOTS", bytes: NONE, hasReply: true }],
  [
    Request.addMemoryRegion,
    { name: "ADD_MEM_REG", bytes: SINGLE_REGION_PADDING + REGION_BYTES, takesDescriptors: true },
  ],
  [Request.removeMemoryRegion, { name: "REM_MEM_REG", bytes: SINGLE_REGION_PADDING + REGION_BYTES }],
  [Request.setStatus, { name: "SET_STATUS", bytes: NUMBER }],
  [Request.getStatus, { name: "GET_STATUS", bytes: NONE, hasReply: true }],
])
