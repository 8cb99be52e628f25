// The parts of the vhost-user stand-in; main.c describes the program.
#pragma once
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <sys/uio.h>

// Newer than the headers of some distributions.
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO 56
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define HEADER_BYTES 12   // The virtio-net header of version 1.
#define PAGE_BYTES 4096
#define FRAME_MAX 65553   // An Ethernet header, a VLAN tag, and the largest packet.
#define ENTRIES_MAX 32768 // Of a split ring.
#define REGIONS_MAX 8     // In one memory table.
#define BIT(number) (1ull << (number))

enum { RECEIVE, TRANSMIT, QUEUES }; // The numbers of the queues: to the guest, and from it.

// options.c

struct options {
  const char *tap, *socket;
  uint64_t refused;         // Feature bits that are not acknowledged.
  uint64_t refusedProtocol; // The same for protocol features.
  unsigned entries;         // Of each ring.
  unsigned regions;
  uint64_t memory;          // Bytes of all regions.
  uint64_t base;            // Guest address of the first region.
  unsigned mtu;             // Sent by NET_SET_MTU; 0: none.
  unsigned parts;           // Descriptors of a full frame from the guest, 1 to 3.
  int verify;               // The guest's kernel verifies checksums that the back end calls valid.
  int log;                  // Asks for a log of written pages, and checks it.
};

struct options parse_options(int argc, char **argv);

// memory.c: what both programs see, with the guest's addresses.

void memory_create(const struct options *options);
// Guest memory that is zero. It lies within one region; `number` spreads allocations over the regions.
void *memory_allocate(unsigned number, uint64_t bytes, uint64_t alignment);
uint64_t guest_address(const void *memory);
// Sends the table, or region by region if `slots` is set.
void memory_announce(int slots);
// Takes the memory away. Nothing of it may be used after that.
void memory_truncate(void);
// Shares a log of written pages.
void memory_log(void);
// False unless each page of the range is marked in the log.
int memory_logged(const void *memory, uint64_t bytes);

// messages.c: requests to the back end.

struct message_region {
  uint64_t guest, bytes, user, offset;
};

void connect_back_end(const char *where);
int back_end_socket(void);
// Negotiates. Returns the features that both sides have.
uint64_t negotiate(const struct options *options, uint64_t *protocol);
void send_regions(const struct message_region *regions, const int *descriptors, unsigned count, int slots);
void send_log(uint64_t bytes, int descriptor);
void send_mtu(uint64_t mtu);

// queue.c: the driver's half of a split ring.

struct queue {
  unsigned index, entries;
  struct vring_desc *table;
  struct vring_avail *available;
  struct vring_used *used;
  uint16_t *usedEvent;               // The driver's: an interrupt is wanted past this index.
  const uint16_t *availableEvent;    // The device's: a kick is wanted past this index.
  uint16_t next, published, seen;    // Indices: the next available one, the published one, the next used one.
  uint16_t base;                     // Where the back end starts, or has stopped.
  int usesEvents, kick, call;
  uint64_t kicks;
};

void queue_create(struct queue *queue, unsigned index, unsigned entries, int usesEvents);
void queue_start(struct queue *queue, int enable, int log);
// Asks where the back end stopped. Returns the index, or -1 if it has not answered.
int queue_stop(struct queue *queue);
void queue_add(struct queue *queue, uint16_t head);
// Shows the device what was added, and kicks it if it wants that.
void queue_publish(struct queue *queue);
// False if there is no used entry.
int queue_take(struct queue *queue, uint32_t *head, uint32_t *length);
// Asks for an interrupt after `delay` further entries. True if that many are there already.
int queue_arm(struct queue *queue, uint16_t delay);
void queue_disarm(struct queue *queue);

// receive.c: frames to the guest.

void receive_create(struct queue *queue, uint64_t features, const struct options *options);
// Writes the frames that have arrived to the tap device, some at most. True if there may be more.
int receive_frames(struct queue *queue, int tap);

// transmit.c: frames from the guest.

void transmit_create(struct queue *queue, uint64_t features, const struct options *options);
// Reads from the tap device, some frames at most. False once it is empty.
int transmit_frames(struct queue *queue, int tap);
// True if there is room for a frame. Otherwise an interrupt will announce it.
int transmit_has_room(struct queue *queue);

// main.c

struct counts {
  uint64_t toPasst, fromPasst;
  uint64_t refused;  // Frames that the guest's kernel refused.
  uint64_t unwanted; // Frames with offloads that were not negotiated.
  uint64_t merged;   // Frames in several buffers.
  uint64_t segments; // Frames with segments, of both directions.
  uint64_t unlogged; // Written pages that are not in the log.
};

extern struct counts counts;

// Ends with the error of the last call.
void fail(const char *what);
// Ends because the back end is at fault.
void blame(const char *what);
// Ends because the back end has closed the connection.
void closed(void);
