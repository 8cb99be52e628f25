// Frames to the guest: buffers as Linux' driver makes them. With merged buffers, each is a page. Otherwise each is one
// for the largest frame, header and pages apart, or one for an ordinary frame, if nothing larger may come.
#include "vhost.h"
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGES ((FRAME_MAX + PAGE_BYTES - 1) / PAGE_BYTES)
#define SMALL_BYTES (HEADER_BYTES + 1518)
#define ORDINARY_MTU 1500
#define TOGETHER 64 // Frames of one turn.

struct buffer {
  struct iovec parts[1 + PAGES];
};

static struct buffer *buffers;
static unsigned bufferCount, parts, step, returned;
static uint64_t features;
static int merges, verifies, checksLog;

// Describes a whole buffer at `table[first]`.
static void describe(struct vring_desc *table, unsigned first, const struct buffer *buffer) {
  for (unsigned part = 0; part < parts; part++) {
    int last = part + 1 == parts;
    table[first + part] = (struct vring_desc){guest_address(buffer->parts[part].iov_base),
                                              (uint32_t)buffer->parts[part].iov_len,
                                              (uint16_t)(VRING_DESC_F_WRITE | (last ? 0 : VRING_DESC_F_NEXT)),
                                              (uint16_t)(last ? 0 : first + part + 1)};
  }
}

void receive_create(struct queue *queue, uint64_t negotiated, const struct options *options) {
  features = negotiated;
  merges = (features & BIT(VIRTIO_NET_F_MRG_RXBUF)) != 0;
  verifies = options->verify;
  checksLog = options->log;
  uint64_t large = BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_USO4) |
                   BIT(VIRTIO_NET_F_GUEST_USO6);
  int isLarge = !merges && ((features & large) != 0 || options->mtu == 0 || options->mtu > ORDINARY_MTU);
  int indirect = isLarge && (features & BIT(VIRTIO_RING_F_INDIRECT_DESC)) != 0;
  parts = isLarge ? 1 + PAGES : 1;
  step = indirect ? 1 : parts;
  bufferCount = queue->entries / step;
  buffers = calloc(bufferCount, sizeof *buffers);
  if (buffers == NULL) fail("memory");
  for (unsigned i = 0; i < bufferCount; i++) {
    struct buffer *buffer = &buffers[i];
    uint64_t bytes = merges ? PAGE_BYTES : isLarge ? HEADER_BYTES : SMALL_BYTES;
    buffer->parts[0] = (struct iovec){memory_allocate(i, bytes, merges ? PAGE_BYTES : 16), bytes};
    for (unsigned part = 1; part < parts; part++) {
      buffer->parts[part] = (struct iovec){memory_allocate(i + part, PAGE_BYTES, PAGE_BYTES), PAGE_BYTES};
    }
    if (indirect) {
      struct vring_desc *table = memory_allocate(i, sizeof *table * parts, 16);
      describe(table, 0, buffer);
      queue->table[i] = (struct vring_desc){guest_address(table), (uint32_t)(sizeof *table * parts),
                                            VRING_DESC_F_INDIRECT, 0};
    } else {
      describe(queue->table, i * step, buffer);
    }
    queue_add(queue, (uint16_t)(i * step));
  }
}

static struct buffer *take(struct queue *queue, uint32_t *length) {
  uint32_t head;
  if (!queue_take(queue, &head, length)) return NULL;
  if (head % step != 0 || head / step >= bufferCount) blame("a used entry of the receive queue is wrong");
  struct buffer *buffer = &buffers[head / step];
  uint64_t room = 0;
  for (unsigned part = 0; part < parts; part++) room += buffer->parts[part].iov_len;
  if (*length > room) blame("a used entry of the receive queue is longer than its buffer");
  queue_add(queue, (uint16_t)head);
  returned++;
  return buffer;
}

// Appends the first bytes of a buffer. Returns the new number of pieces.
static unsigned append(struct iovec *pieces, unsigned count, const struct buffer *buffer, uint32_t length) {
  for (unsigned part = 0; length > 0; part++) {
    struct iovec piece = buffer->parts[part];
    if (piece.iov_len > length) piece.iov_len = length;
    if (checksLog && !memory_logged(piece.iov_base, piece.iov_len)) counts.unlogged++;
    pieces[count++] = piece;
    length -= (uint32_t)piece.iov_len;
  }
  return count;
}

static int is_negotiated(const struct virtio_net_hdr_v1 *header) {
  uint64_t needed = 0;
  if (header->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) {
    needed |= BIT(VIRTIO_NET_F_GUEST_CSUM);
  }
  if (header->gso_type & VIRTIO_NET_HDR_GSO_ECN) needed |= BIT(VIRTIO_NET_F_GUEST_ECN);
  switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
  case VIRTIO_NET_HDR_GSO_NONE: break;
  case VIRTIO_NET_HDR_GSO_TCPV4: needed |= BIT(VIRTIO_NET_F_GUEST_TSO4); break;
  case VIRTIO_NET_HDR_GSO_TCPV6: needed |= BIT(VIRTIO_NET_F_GUEST_TSO6); break;
  case VIRTIO_NET_HDR_GSO_UDP_L4: needed |= BIT(VIRTIO_NET_F_GUEST_USO4) | BIT(VIRTIO_NET_F_GUEST_USO6); break;
  default: return 0;
  }
  return (features & needed) == needed;
}

// Tap devices ignore that a checksum is called valid. One that is missing is valid to them as well.
static void trust(struct virtio_net_hdr_v1 *header, const uint8_t *frame, size_t length) {
  if (verifies || (header->flags & 3) != VIRTIO_NET_HDR_F_DATA_VALID || length < 54) return;
  unsigned version = frame[14] >> 4;
  unsigned protocol = version == 4 ? frame[23] : frame[20];
  if (version == 4 && (be16toh(*(const uint16_t *)(frame + 20)) & 0x3fff) != 0) return; // A fragment.
  if (protocol != 6 && protocol != 17) return;
  header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  header->csum_start = htole16((uint16_t)(14 + (version == 4 ? (frame[14] & 15) * 4 : 40)));
  header->csum_offset = htole16(protocol == 6 ? 16 : 6);
}

static void write_frame(int tap, const struct iovec *pieces, unsigned count) {
  ssize_t written = writev(tap, pieces, (int)count);
  if (written >= 0) counts.fromPasst++;
  else if (errno == EAGAIN || errno == ENOBUFS || errno == EINVAL) counts.refused++;
  else if (errno != EIO) fail("writing to the tap device"); // EIO: it is not up yet.
}

static void receive_frame(struct queue *queue, int tap, const struct buffer *first, uint32_t length) {
  struct iovec pieces[IOV_MAX];
  if (length < HEADER_BYTES + 14) blame("a frame is too short");
  unsigned count = append(pieces, 0, first, length);
  struct virtio_net_hdr_v1 header;
  memcpy(&header, first->parts[0].iov_base, sizeof header);
  unsigned merged = merges ? le16toh(header.num_buffers) : 1;
  if (merged < 1 || merged > IOV_MAX) blame("a frame is in no buffer, or in too many");
  if (merged > 1) counts.merged++;
  for (unsigned i = 1; i < merged; i++) {
    const struct buffer *next = take(queue, &length);
    if (next == NULL) blame("a frame's buffers have not all been used");
    count = append(pieces, count, next, length);
  }
  if (header.gso_type != VIRTIO_NET_HDR_GSO_NONE) counts.segments++;
  if (!is_negotiated(&header)) counts.unwanted++;
  int isApart = pieces[0].iov_len == HEADER_BYTES;
  const uint8_t *frame = isApart ? pieces[1].iov_base : (uint8_t *)pieces[0].iov_base + HEADER_BYTES;
  trust(&header, frame, isApart ? pieces[1].iov_len : pieces[0].iov_len - HEADER_BYTES);
  memcpy(pieces[0].iov_base, &header, sizeof header);
  write_frame(tap, pieces, count);
}

int receive_frames(struct queue *queue, int tap) {
  queue_disarm(queue);
  uint32_t length;
  for (unsigned frames = 0; frames < TOGETHER; frames++) {
    const struct buffer *buffer = take(queue, &length);
    if (buffer == NULL) {
      queue_publish(queue);
      return queue_arm(queue, 0);
    }
    receive_frame(queue, tap, buffer, length);
    // The device sees buffers again in lots, as with Linux.
    if (returned < bufferCount / 4) continue;
    returned = 0;
    queue_publish(queue);
  }
  queue_publish(queue);
  return 1;
}
