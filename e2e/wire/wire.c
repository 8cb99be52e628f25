// A wire between two network namespaces: two tap devices and a queue that loses, delays, reorders
// and duplicates frames, by a seeded generator, so that a run can be repeated. It stands in for
// `tc netem`, which many kernels are built without.
//
//   wire SEED LOSS DELAY JITTER REORDER DUPLICATE  NETNS NAME  NETNS NAME
//
// LOSS, REORDER and DUPLICATE are probabilities (0 to 1). DELAY and JITTER are milliseconds, one
// way; order is kept within the jitter, except for the share REORDER of frames, which overtakes by
// skipping the delay. Prints "ready" when both devices exist, and its counts after a signal to end.
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 65600
#define QUEUE_MAX 65536 // Frames in flight, both directions together; further ones are dropped, and counted.

struct frame {
  uint64_t due; // Nanoseconds; the order of arrival decides between equals.
  uint64_t order;
  int target;
  uint32_t length;
  uint8_t *bytes;
};

static struct frame queue[QUEUE_MAX]; // A binary heap by (due, order).
static int queued;
static uint64_t order, state;
static uint64_t carried, lost, overtaken, doubled, overflowed;
static volatile sig_atomic_t ended;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void end(int signal) {
  (void)signal;
  ended = 1;
}

static double chance(void) { // splitmix64
  uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return (double)((z ^ (z >> 31)) >> 11) / (double)(1ULL << 53);
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int earlier(const struct frame *a, const struct frame *b) {
  return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void push(uint64_t due, int target, const uint8_t *bytes, uint32_t length) {
  if (queued == QUEUE_MAX) {
    overflowed++;
    return;
  }
  struct frame frame = {due, order++, target, length, malloc(length)};
  if (!frame.bytes) fail("malloc");
  memcpy(frame.bytes, bytes, length);
  int i = queued++;
  for (; i > 0 && earlier(&frame, &queue[(i - 1) / 2]); i = (i - 1) / 2) queue[i] = queue[(i - 1) / 2];
  queue[i] = frame;
}

static struct frame pop(void) {
  struct frame first = queue[0], last = queue[--queued];
  int i = 0;
  for (;;) {
    int child = 2 * i + 1;
    if (child >= queued) break;
    if (child + 1 < queued && earlier(&queue[child + 1], &queue[child])) child++;
    if (!earlier(&queue[child], &last)) break;
    queue[i] = queue[child];
    i = child;
  }
  queue[i] = last;
  return first;
}

static int tap(const char *netns, const char *name) {
  int ns = open(netns, O_RDONLY | O_CLOEXEC);
  if (ns < 0) fail(netns);
  if (setns(ns, CLONE_NEWNET)) fail("setns");
  close(ns);
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) fail("/dev/net/tun");
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(fd, TUNSETIFF, &request)) fail("TUNSETIFF");
  return fd;
}

int main(int argc, char **argv) {
  if (argc != 11) {
    fprintf(stderr, "usage: wire SEED LOSS DELAY JITTER REORDER DUPLICATE NETNS NAME NETNS NAME\n");
    return 1;
  }
  state = strtoull(argv[1], NULL, 10);
  double loss = atof(argv[2]), delay = atof(argv[3]), jitter = atof(argv[4]), reorder = atof(argv[5]),
         duplicate = atof(argv[6]);
  struct pollfd ends[2] = {{.fd = tap(argv[7], argv[8]), .events = POLLIN},
                           {.fd = tap(argv[9], argv[10]), .events = POLLIN}};
  prctl(PR_SET_PDEATHSIG, SIGKILL); // Tests that are killed leave no wire behind.
  signal(SIGTERM, end);
  signal(SIGINT, end);
  puts("ready");
  fflush(stdout);

  static uint8_t buffer[FRAME_MAX];
  uint64_t latest[2] = {0, 0};
  while (!ended) {
    for (uint64_t time = now(); queued > 0 && queue[0].due <= time;) {
      struct frame frame = pop();
      if (write(ends[frame.target].fd, frame.bytes, frame.length) < 0 && errno != EIO && errno != EAGAIN)
        fail("write"); // EIO: that end is down.
      free(frame.bytes);
      carried++;
    }
    struct timespec wait, *timeout = NULL;
    if (queued > 0) {
      uint64_t time = now(), left = queue[0].due > time ? queue[0].due - time : 0;
      wait.tv_sec = (time_t)(left / 1000000000);
      wait.tv_nsec = (long)(left % 1000000000);
      timeout = &wait;
    }
    if (ppoll(ends, 2, timeout, NULL) < 0 && errno != EINTR) fail("ppoll");
    for (int from = 0; from < 2; from++) {
      if (!(ends[from].revents & POLLIN)) continue;
      for (int budget = 64; budget > 0; budget--) {
        ssize_t length = read(ends[from].fd, buffer, sizeof buffer);
        if (length <= 0) break;
        int target = 1 - from;
        if (chance() < loss) {
          lost++;
          continue;
        }
        uint64_t due = now();
        if (chance() < reorder) {
          overtaken++;
        } else {
          due += (uint64_t)((delay + chance() * jitter) * 1e6);
          if (due < latest[target]) due = latest[target];
          latest[target] = due;
        }
        push(due, target, buffer, (uint32_t)length);
        if (chance() < duplicate) {
          doubled++;
          push(due, target, buffer, (uint32_t)length);
        }
      }
    }
  }
  printf("{\"carried\":%llu,\"lost\":%llu,\"overtaken\":%llu,\"duplicated\":%llu,\"overflowed\":%llu}\n",
         (unsigned long long)carried, (unsigned long long)lost, (unsigned long long)overtaken,
         (unsigned long long)doubled, (unsigned long long)overflowed);
  return 0;
}
