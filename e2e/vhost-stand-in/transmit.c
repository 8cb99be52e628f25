// Frames from the guest: each is read from the tap device into a slot of guest memory. A slot's pieces resemble what
// Linux' driver passes on: the headers, and then fragments of 32 KiB. The slot that was used last is used first, as its
// memory is in the processor's cache.
#include "vhost.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD_BYTES 128 // The virtio header, and those of Ethernet, IP and TCP.
#define FRAGMENT_BYTES 32768
#define PARTS_MAX 3
#define TOGETHER 64        // Frames of one turn.
#define PUBLISHED 16       // Frames that are published together at most,
#define PUBLISHED_BYTES 32768 // or that many bytes.

struct slot {
  struct iovec parts[PARTS_MAX];
  struct vring_desc *table; // In guest memory: that of the ring, or an indirect one.
  uint16_t head;
  uint16_t first; // Index of the first descriptor in the table.
};

static struct slot *slots;
static uint16_t *freeSlots;
static unsigned slotCount, freeCount, parts;
static int usesIndirect;

void transmit_create(struct queue *queue, uint64_t features, const struct options *options) {
  // Linux' frames are in one piece if it has to compute their checksums.
  parts = features & BIT(VIRTIO_NET_F_CSUM) ? options->parts : 1;
  usesIndirect = features & BIT(VIRTIO_RING_F_INDIRECT_DESC) && parts > 1;
  slotCount = usesIndirect ? queue->entries : queue->entries / parts;
  slots = calloc(slotCount, sizeof *slots);
  freeSlots = calloc(slotCount, sizeof *freeSlots);
  if (slots == NULL || freeSlots == NULL) fail("memory");
  uint64_t rest = HEADER_BYTES + FRAME_MAX - (parts > 1 ? HEAD_BYTES : 0) - (parts > 2 ? FRAGMENT_BYTES : 0);
  for (unsigned i = 0; i < slotCount; i++) {
    struct slot *slot = &slots[i];
    const uint64_t lengths[] = {parts > 1 ? HEAD_BYTES : rest, parts > 2 ? FRAGMENT_BYTES : rest, rest};
    slot->head = (uint16_t)(usesIndirect ? i : i * parts);
    slot->first = usesIndirect ? 0 : slot->head;
    slot->table = usesIndirect ? memory_allocate(i, sizeof *slot->table * parts, 16) : queue->table;
    for (unsigned part = 0; part < parts; part++) {
      slot->parts[part] = (struct iovec){memory_allocate(i + part, lengths[part], 64), lengths[part]};
      slot->table[slot->first + part].addr = guest_address(slot->parts[part].iov_base);
    }
    freeSlots[freeCount++] = (uint16_t)(slotCount - 1 - i);
  }
}

static void reclaim(struct queue *queue) {
  uint32_t head, length;
  while (queue_take(queue, &head, &length)) {
    unsigned slot = usesIndirect ? head : head / parts;
    if (slot >= slotCount || (!usesIndirect && head % parts != 0) || freeCount == slotCount) {
      blame("a used entry of the transmit queue is wrong");
    }
    freeSlots[freeCount++] = (uint16_t)slot;
  }
}

// Describes the first bytes of a slot, and makes them available.
static void describe(struct queue *queue, struct slot *slot, size_t length) {
  unsigned part = 0;
  for (;; part++) {
    struct vring_desc *descriptor = &slot->table[slot->first + part];
    size_t size = slot->parts[part].iov_len;
    if (length <= size) {
      descriptor->len = (uint32_t)length;
      descriptor->flags = 0;
      break;
    }
    descriptor->len = (uint32_t)size;
    descriptor->flags = VRING_DESC_F_NEXT;
    descriptor->next = (uint16_t)(slot->first + part + 1);
    length -= size;
  }
  if (usesIndirect) {
    struct vring_desc *descriptor = &queue->table[slot->head];
    if (part == 0) {
      *descriptor = *slot->table;
    } else {
      *descriptor = (struct vring_desc){guest_address(slot->table), (uint32_t)(sizeof *descriptor * (part + 1)),
                                        VRING_DESC_F_INDIRECT, 0};
    }
  }
  queue_add(queue, slot->head);
}

int transmit_frames(struct queue *queue, int tap) {
  size_t bytes = 0;
  int more = 1;
  reclaim(queue);
  for (unsigned frames = 0; frames < TOGETHER && freeCount > 0; frames++) {
    struct slot *slot = &slots[freeSlots[freeCount - 1]];
    ssize_t length = readv(tap, slot->parts, (int)parts);
    if (length < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) fail("reading the tap device"); // EBADFD: the device was deleted.
      more = 0;
      break;
    }
    const struct virtio_net_hdr_v1 *header = slot->parts[0].iov_base;
    if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE) counts.segments++;
    describe(queue, slot, (size_t)length);
    freeCount--;
    counts.toPasst++;
    bytes += (size_t)length;
    if ((uint16_t)(queue->next - queue->published) < PUBLISHED && bytes < PUBLISHED_BYTES) continue;
    queue_publish(queue);
    bytes = 0;
  }
  queue_publish(queue);
  return more;
}

int transmit_has_room(struct queue *queue) {
  if (freeCount == 0) reclaim(queue);
  if (freeCount > 0) {
    queue_disarm(queue);
    return 1;
  }
  // Most of the slots should be free then, not only one.
  if (!queue_arm(queue, (uint16_t)(slotCount * 3 / 4))) return 0;
  reclaim(queue);
  return freeCount > 0;
}
