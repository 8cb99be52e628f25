// Requests to the back end, in the order of QEMU. The protocol is described in QEMU's documentation ("Vhost-user
// Protocol"). No two requests are under way at the same time.
#include "vhost.h"
#include <errno.h>
#include <linux/vhost_types.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define VERSION 1
#define REPLY 4
#define NEED_REPLY 8
#define PROTOCOL_FEATURES 30 // The bit of the features that announces protocol features.
#define HAS_MQ BIT(0)
#define HAS_LOG BIT(1)
#define HAS_REPLY_ACK BIT(3)
#define HAS_MTU BIT(4)
#define HAS_SLOTS BIT(15)
#define PATIENCE 2000 // Milliseconds for an answer at the end.

enum {
  GET_FEATURES = 1,
  SET_FEATURES = 2,
  SET_OWNER = 3,
  SET_MEM_TABLE = 5,
  SET_LOG_BASE = 6,
  SET_VRING_NUM = 8,
  SET_VRING_ADDR = 9,
  SET_VRING_BASE = 10,
  GET_VRING_BASE = 11,
  SET_VRING_KICK = 12,
  SET_VRING_CALL = 13,
  GET_PROTOCOL_FEATURES = 15,
  SET_PROTOCOL_FEATURES = 16,
  GET_QUEUE_NUM = 17,
  SET_VRING_ENABLE = 18,
  NET_SET_MTU = 20,
  GET_MAX_MEM_SLOTS = 36,
  ADD_MEM_REG = 37,
};

struct message {
  uint32_t request, flags, size;
  union {
    uint64_t number;
    struct vhost_vring_state state;
    struct vhost_vring_addr address;
    struct {
      uint32_t count, padding;
      struct message_region regions[REGIONS_MAX];
    } table;
    struct {
      uint64_t padding;
      struct message_region region;
    } slot;
    struct {
      uint64_t bytes, offset;
    } log;
  };
} __attribute__((packed));

#define MESSAGE_HEAD 12

static int back_end = -1;
static uint64_t acknowledged; // Protocol features.

void connect_back_end(const char *where) {
  if (strncmp(where, "fd:", 3) == 0) {
    back_end = atoi(where + 3);
    return;
  }
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(where) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    fail(where);
  }
  strcpy(address.sun_path, where);
  back_end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (back_end < 0) fail("socket");
  if (connect(back_end, (struct sockaddr *)&address, sizeof address)) fail(where);
}

int back_end_socket(void) { return back_end; }

static void transmit(struct message *message, const int *descriptors, unsigned count) {
  char control[CMSG_SPACE(sizeof(int) * REGIONS_MAX)] = {0};
  struct iovec bytes = {message, MESSAGE_HEAD + message->size};
  struct msghdr header = {.msg_iov = &bytes, .msg_iovlen = 1};
  if (count > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(rights), descriptors, sizeof(int) * count);
  }
  ssize_t sent = sendmsg(back_end, &header, MSG_NOSIGNAL);
  if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) closed();
  if (sent != (ssize_t)bytes.iov_len) fail("sending a message");
}

static void receive_bytes(void *bytes, size_t length) {
  for (size_t got = 0; got < length;) {
    ssize_t more = recv(back_end, (uint8_t *)bytes + got, length - got, 0);
    if (more == 0 || (more < 0 && errno == ECONNRESET)) closed();
    if (more < 0 && errno != EINTR) fail("receiving a message");
    if (more > 0) got += (size_t)more;
  }
}

static void receive_reply(uint32_t request, struct message *reply, size_t size) {
  receive_bytes(reply, MESSAGE_HEAD);
  if (reply->request != request || (reply->flags & (3 | REPLY)) != (VERSION | REPLY) || reply->size != size) {
    fprintf(stderr, "request %u: a reply to %u with flags %u and %u bytes\n", request, reply->request, reply->flags,
            reply->size);
    blame("a reply is wrong");
  }
  receive_bytes(&reply->number, size);
}

// Sends a request with this payload in `message`, and asks for a confirmation if the back end can give one.
static void set(uint32_t request, struct message *message, size_t size, const int *descriptors, unsigned count) {
  int confirmed = (acknowledged & HAS_REPLY_ACK) != 0;
  message->request = request;
  message->flags = VERSION | (confirmed ? NEED_REPLY : 0);
  message->size = (uint32_t)size;
  transmit(message, descriptors, count);
  if (!confirmed) return;
  struct message reply;
  receive_reply(request, &reply, sizeof reply.number);
  if (reply.number == 0) return;
  fprintf(stderr, "request %u: %llu\n", request, (unsigned long long)reply.number);
  blame("a request was refused");
}

static void set_number(uint32_t request, uint64_t number) {
  struct message message = {.number = number};
  set(request, &message, sizeof message.number, NULL, 0);
}

static void set_state(uint32_t request, unsigned index, unsigned number) {
  struct message message = {.state = {index, number}};
  set(request, &message, sizeof message.state, NULL, 0);
}

static uint64_t get_number(uint32_t request) {
  struct message message = {.request = request, .flags = VERSION};
  transmit(&message, NULL, 0);
  receive_reply(request, &message, sizeof message.number);
  return message.number;
}

uint64_t negotiate(const struct options *options, uint64_t *protocol) {
  uint64_t offered = get_number(GET_FEATURES);
  uint64_t known = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) |
                   BIT(PROTOCOL_FEATURES) | BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
                   BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) |
                   BIT(VIRTIO_NET_F_HOST_USO) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |
                   BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(VIRTIO_NET_F_GUEST_USO4) | BIT(VIRTIO_NET_F_GUEST_USO6) |
                   BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_GUEST_ANNOUNCE);
  if (options->log) known |= BIT(VHOST_F_LOG_ALL);
  uint64_t features = offered & known & ~options->refused;
  if ((features & BIT(VIRTIO_F_VERSION_1)) == 0) blame("it has no virtio 1");
  if (features & BIT(PROTOCOL_FEATURES)) {
    *protocol = get_number(GET_PROTOCOL_FEATURES);
    uint64_t wanted = HAS_MQ | HAS_REPLY_ACK | HAS_MTU | HAS_SLOTS | (options->log ? HAS_LOG : 0);
    uint64_t chosen = *protocol & wanted & ~options->refusedProtocol;
    set_number(SET_PROTOCOL_FEATURES, chosen);
    acknowledged = chosen;
    *protocol = chosen;
    if ((chosen & HAS_MQ) && get_number(GET_QUEUE_NUM) < 1) blame("it has no queues");
    if (chosen & HAS_SLOTS && get_number(GET_MAX_MEM_SLOTS) < options->regions) blame("it has too few slots");
  }
  struct message owner = {0};
  set(SET_OWNER, &owner, 0, NULL, 0);
  set_number(SET_FEATURES, features);
  return features;
}

void send_regions(const struct message_region *regions, const int *descriptors, unsigned count, int slots) {
  struct message message = {0};
  if (slots) {
    for (unsigned i = 0; i < count; i++) {
      message.slot.padding = 0;
      message.slot.region = regions[i];
      set(ADD_MEM_REG, &message, sizeof message.slot, &descriptors[i], 1);
    }
    return;
  }
  message.table.count = count;
  memcpy(message.table.regions, regions, count * sizeof *regions);
  set(SET_MEM_TABLE, &message, 8 + count * sizeof *regions, descriptors, count);
}

void send_log(uint64_t bytes, int descriptor) {
  // The reply is part of the request, whether or not a confirmation is asked for.
  struct message message = {
      .request = SET_LOG_BASE, .flags = VERSION, .size = sizeof message.log, .log = {.bytes = bytes}};
  transmit(&message, &descriptor, 1);
  receive_bytes(&message, MESSAGE_HEAD);
  if (message.request != SET_LOG_BASE || message.size > sizeof message.log) blame("the log was not taken");
  receive_bytes(&message.number, message.size);
}

void send_mtu(uint64_t mtu) {
  if (acknowledged & HAS_MTU) set_number(NET_SET_MTU, mtu);
}

void queue_start(struct queue *queue, int enable, int log) {
  struct message message = {.address = {.index = queue->index,
                                        .flags = log ? BIT(VHOST_VRING_F_LOG) : 0,
                                        .desc_user_addr = (uint64_t)queue->table,
                                        .avail_user_addr = (uint64_t)queue->available,
                                        .used_user_addr = (uint64_t)queue->used,
                                        .log_guest_addr = log ? guest_address(queue->used) : 0}};
  set_state(SET_VRING_NUM, queue->index, queue->entries);
  set_state(SET_VRING_BASE, queue->index, queue->base);
  set(SET_VRING_ADDR, &message, sizeof message.address, NULL, 0);
  message.number = queue->index;
  set(SET_VRING_KICK, &message, sizeof message.number, &queue->kick, 1);
  message.number = queue->index;
  set(SET_VRING_CALL, &message, sizeof message.number, &queue->call, 1);
  // Without protocol features, a ring is enabled from the beginning.
  if (enable) set_state(SET_VRING_ENABLE, queue->index, 1);
}

int queue_stop(struct queue *queue) {
  struct message message = {.request = GET_VRING_BASE,
                            .flags = VERSION,
                            .size = sizeof message.state,
                            .state = {queue->index, 0}};
  transmit(&message, NULL, 0);
  struct pollfd answer = {.fd = back_end, .events = POLLIN};
  if (poll(&answer, 1, PATIENCE) != 1) return -1;
  receive_reply(GET_VRING_BASE, &message, sizeof message.state);
  queue->base = (uint16_t)message.state.num;
  return queue->base;
}
