/** Numbers of the addon's rings; the same in native/rings/rings.h. */

/** What a ring does: the `flags` of `ringOpen`. */
export const RingFlag = {
  /** VIRTIO_F_RING_EVENT_IDX: each side stores the index at which it wants to be notified. */
  eventIndex: 1,
  /** VIRTIO_F_RING_INDIRECT_DESC: a descriptor may name a table of others. */
  indirect: 2,
  /** Pages that frames are written to are noted in the memory's log. */
  log: 4,
  /** So are those of the used ring. */
  logUsed: 8,
} as const

/** Why a ring is unusable: the other side is at fault. */
export const RingFault = {
  none: 0,
  /** The available index is further ahead than the ring has entries. */
  indexJump: 1,
  /** The index of a descriptor is outside its table. */
  head: 2,
  /** A chain has more descriptors than the ring has entries. */
  loop: 3,
  /** A buffer, or a table of descriptors, isn't wholly in guest memory. */
  address: 4,
  /** A readable buffer in a chain for the guest, or after a writable buffer. */
  direction: 5,
  /** An indirect descriptor that isn't negotiated, lies in an indirect table, goes on, or has an impossible length. */
  indirect: 6,
  /** The memory was truncated by the other side, or the region of the ring was removed. */
  memory: 7,
} as const
