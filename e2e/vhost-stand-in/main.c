// Stands in for a virtual machine in front of passt, over vhost-user: a front end that joins the rings of one queue pair
// to a tap device, which it makes in the network namespace that it is run in. The kernel of that namespace is then the
// guest, at native speed, with the offloads that were negotiated.
//
//   vhost-stand-in NAME SOCKET|fd:NUMBER [WORD]...
//
// NAME is the tap device's, SOCKET the path of passt's socket; "fd:3" is a connected socket. Words:
//
//   no=NAME,...   refuses features: csum guest-csum tso guest-tso tso4 … uso guest-uso ecn mrg mtu announce event
//                 indirect, and of the protocol reply, slots, or protocol (all of them)
//   ring=N        entries of each ring (256, as with QEMU and libvirt)
//   parts=N       descriptors of a full frame from the guest, 1 to 3 (3; always 1 without csum, as with Linux)
//   regions=N     regions of memory, up to 8 (1); memory=N: gibibytes of all regions
//   high          guest addresses from 2^40
//   mtu=N         announces the guest's MTU
//   verify        lets the guest's kernel verify checksums that passt calls valid
//   log           asks for a log of written pages, and checks it
//
// Frames are read from the tap device straight into ring buffers, and written to it from there. Buffers to the guest are
// pages with merged buffers, as with Linux. SIGUSR1 truncates the memory; after that the rings are only kicked.
// SIGUSR2 pauses the guest, as QEMU's "stop" does, and the next one lets it go on.
//
// Prints "connected" when the rings run, "paused" and "continued" by these, and as its last line, once a signal or passt
// has ended it, its counts as JSON.
// Exit status: 0 after SIGTERM or SIGINT, 2 when passt has closed the connection, 1 after an error.
#include "vhost.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#define PROTOCOL_FEATURES 30
#define HAS_SLOTS BIT(15)
#define LOG_ALL 26
#define WATCHED 5

struct counts counts;
static struct queue queues[QUEUES];
static uint64_t features;
static int logs;

void fail(const char *what) {
  fprintf(stderr, "vhost-stand-in: %s: %s\n", what, strerror(errno));
  exit(1);
}

void blame(const char *what) {
  fprintf(stderr, "vhost-stand-in: passt is at fault: %s\n", what);
  exit(1);
}

static void print_counts(int isClosed) {
  printf("{\"toPasst\":%llu,\"fromPasst\":%llu,\"refused\":%llu,\"unwanted\":%llu,\"merged\":%llu,\"segments\":%llu,"
         "\"unlogged\":%llu,\"kicks\":%llu,\"features\":\"%llx\",\"closed\":%s}\n",
         (unsigned long long)counts.toPasst, (unsigned long long)counts.fromPasst, (unsigned long long)counts.refused,
         (unsigned long long)counts.unwanted, (unsigned long long)counts.merged, (unsigned long long)counts.segments,
         (unsigned long long)counts.unlogged,
         (unsigned long long)(queues[RECEIVE].kicks + queues[TRANSMIT].kicks), (unsigned long long)features,
         isClosed ? "true" : "false");
}

void closed(void) {
  print_counts(1);
  exit(2);
}

// A descriptor that is readable when there is a signal.
static int catch_signals(void) {
  sigset_t caught;
  sigemptyset(&caught);
  sigaddset(&caught, SIGTERM);
  sigaddset(&caught, SIGINT);
  sigaddset(&caught, SIGUSR1);
  sigaddset(&caught, SIGUSR2);
  sigprocmask(SIG_BLOCK, &caught, NULL);
  int signals = signalfd(-1, &caught, SFD_NONBLOCK | SFD_CLOEXEC);
  if (signals < 0) fail("signals");
  return signals;
}

// What the device may leave to passt, as the kernel calls it.
static unsigned tap_offloads(void) {
  unsigned offloads = 0;
  if (features & BIT(VIRTIO_NET_F_CSUM)) offloads |= TUN_F_CSUM;
  if (features & BIT(VIRTIO_NET_F_HOST_TSO4)) offloads |= TUN_F_TSO4;
  if (features & BIT(VIRTIO_NET_F_HOST_TSO6)) offloads |= TUN_F_TSO6;
  if (features & BIT(VIRTIO_NET_F_HOST_ECN) && offloads & (TUN_F_TSO4 | TUN_F_TSO6)) offloads |= TUN_F_TSO_ECN;
  if (features & BIT(VIRTIO_NET_F_HOST_USO)) offloads |= TUN_F_USO4 | TUN_F_USO6;
  return offloads;
}

static int open_tap(const char *name) {
  int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap < 0) fail("/dev/net/tun");
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  int size = HEADER_BYTES, little = 1;
  if (ioctl(tap, TUNSETIFF, &request) || ioctl(tap, TUNSETVNETHDRSZ, &size) || ioctl(tap, TUNSETVNETLE, &little) ||
      ioctl(tap, TUNSETOFFLOAD, tap_offloads())) {
    fail(name);
  }
  return tap;
}

static void watch(int epoll, int descriptor) {
  // Edges: an eventfd needn't be read, and a full ring doesn't keep the tap device from being watched.
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = descriptor};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event)) fail("epoll");
}

static void take_memory_away(void) {
  memory_truncate();
  for (int i = 0; i < QUEUES; i++) {
    if (write(queues[i].kick, &(uint64_t){1}, 8) != 8) fail("kicking");
  }
}

static void say(const char *what) {
  puts(what);
  fflush(stdout);
}

static void start_queues(void) {
  for (unsigned i = 0; i < QUEUES; i++) queue_start(&queues[i], (features & BIT(PROTOCOL_FEATURES)) != 0, logs);
}

static void stop_queues(void) {
  if (queue_stop(&queues[TRANSMIT]) < 0 || queue_stop(&queues[RECEIVE]) < 0) blame("it doesn't stop the rings");
}

static void run(int tap, int signals) {
  int epoll = epoll_create1(EPOLL_CLOEXEC), fd = back_end_socket();
  if (epoll < 0) fail("epoll");
  const int watched[] = {tap, fd, queues[RECEIVE].call, queues[TRANSMIT].call, signals};
  for (int i = 0; i < WATCHED; i++) watch(epoll, watched[i]);
  int isTapReadable = 1, hasReceived = 1, isTruncated = 0, isPaused = 0, isEnded = 0;
  while (!isEnded) {
    int busy = 0;
    if (!isTruncated && !isPaused) {
      if (isTapReadable && transmit_has_room(&queues[TRANSMIT])) {
        isTapReadable = transmit_frames(&queues[TRANSMIT], tap);
        busy |= isTapReadable && transmit_has_room(&queues[TRANSMIT]);
      }
      if (hasReceived) busy |= hasReceived = receive_frames(&queues[RECEIVE], tap);
    }
    struct epoll_event events[WATCHED];
    int count = epoll_wait(epoll, events, WATCHED, busy ? 0 : -1);
    if (count < 0 && errno != EINTR) fail("epoll");
    for (int i = 0; i < count; i++) {
      if (events[i].data.fd == queues[RECEIVE].call) hasReceived = 1;
      if (events[i].data.fd == tap && events[i].events & EPOLLERR) fail("the tap device is gone");
      if (events[i].data.fd == tap) isTapReadable = 1;
      if (events[i].data.fd == fd) closed(); // Nothing was asked.
      struct signalfd_siginfo signal;
      if (events[i].data.fd != signals || read(signals, &signal, sizeof signal) != sizeof signal) continue;
      if (signal.ssi_signo == SIGUSR2) {
        isPaused = !isPaused;
        if (isPaused) stop_queues();
        else start_queues();
        say(isPaused ? "paused" : "continued");
      } else if (signal.ssi_signo != SIGUSR1) isEnded = 1;
      else if (!isTruncated) {
        isTruncated = 1;
        take_memory_away();
      }
    }
  }
  if (!isTruncated) stop_queues();
}

int main(int argc, char **argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL); // Tests that are killed leave no guest behind.
  struct options options = parse_options(argc, argv);
  uint64_t protocol = 0;
  int signals = catch_signals();
  memory_create(&options);
  connect_back_end(options.socket);
  features = negotiate(&options, &protocol);
  if (options.mtu > 0) send_mtu(options.mtu);
  memory_announce((protocol & HAS_SLOTS) != 0);
  logs = options.log && (features & BIT(LOG_ALL));
  if (options.log && !logs) blame("it has no log");
  if (logs) memory_log();
  for (unsigned i = 0; i < QUEUES; i++) {
    queue_create(&queues[i], i, options.entries, (features & BIT(VIRTIO_RING_F_EVENT_IDX)) != 0);
  }
  receive_create(&queues[RECEIVE], features, &options);
  transmit_create(&queues[TRANSMIT], features, &options);
  int tap = open_tap(options.tap);
  start_queues();
  queue_publish(&queues[RECEIVE]);
  say("connected");
  run(tap, signals);
  print_counts(0);
  return 0;
}
