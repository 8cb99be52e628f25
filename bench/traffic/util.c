#include "util.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int BUFFER_BYTES = 4 << 20;
static const rlim_t MOST_OPEN_FILES = 200000;
static const uint64_t PATIENCE = 5000000000;

uint64_t nanoseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

/* An address may name its interface, as `fe80::1%eth0`. */
struct endpoint parse_endpoint(const char *address, int port) {
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found;
  struct endpoint endpoint;
  char service[16];
  snprintf(service, sizeof service, "%d", port);
  if (getaddrinfo(address, service, &hints, &found) != 0) {
    errno = EINVAL;
    fail(address);
  }
  memcpy(&endpoint.address, found->ai_addr, found->ai_addrlen);
  endpoint.length = found->ai_addrlen;
  freeaddrinfo(found);
  return endpoint;
}

/* Prevents the generator's own buffer from losing datagrams. Root may exceed the limit. */
void enlarge_buffers(int socket) {
  if (setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &BUFFER_BYTES, sizeof(int)) < 0)
    setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &BUFFER_BYTES, sizeof(int));
}

static int open_socket(const struct endpoint *endpoint, int type) {
  int descriptor = socket(endpoint->address.ss_family, type, 0);
  if (descriptor < 0) fail("socket");
  /* TCP tunes its buffers itself, unless they are set. */
  if ((type & SOCK_DGRAM) == SOCK_DGRAM) enlarge_buffers(descriptor);
  return descriptor;
}

int open_listener(const struct endpoint *endpoint, int type) {
  int descriptor = open_socket(endpoint, type);
  int one = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(descriptor, (const struct sockaddr *)&endpoint->address, endpoint->length) < 0) fail("bind");
  if ((type & SOCK_STREAM) && listen(descriptor, 4096) < 0) fail("listen");
  return descriptor;
}

/* Connects, and waits for the guest's network: its IPv6 address may not be usable at once. */
int connect_patiently(const struct endpoint *endpoint, int type) {
  for (uint64_t until = nanoseconds() + PATIENCE;;) {
    int descriptor = open_socket(endpoint, type);
    if (connect(descriptor, (const struct sockaddr *)&endpoint->address, endpoint->length) == 0) return descriptor;
    if ((errno != ENETUNREACH && errno != EADDRNOTAVAIL && errno != EHOSTUNREACH) || nanoseconds() > until)
      fail("connect");
    close(descriptor);
    usleep(5000);
  }
}

void set_time_limit(int socket, int milliseconds) {
  struct timeval time = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
}

/* Discards data in flight at the end of a run, so that it doesn't disturb the next one. */
void reset_on_close(int socket) {
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

void send_at_once(int socket) {
  int one = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* Each of many flows takes a descriptor. Root may raise the limit. If it is too low, opening a socket reports that. */
void raise_open_files(void) {
  struct rlimit limit = {MOST_OPEN_FILES, MOST_OPEN_FILES};
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void start_thread(void *(*run)(void *), void *argument) {
  pthread_t thread;
  errno = pthread_create(&thread, NULL, run, argument);
  if (errno != 0) fail("thread");
  pthread_detach(thread);
}

/* Counts bytes that arrived now, possibly none; 1 when the period is over. */
int count(struct counter *counter, const struct period *period, size_t bytes) {
  uint64_t now = nanoseconds();
  if (counter->first == 0) {
    if (bytes == 0) return 0;
    counter->first = now;
    counter->begin = now + period->warm;
    counter->end = counter->begin + period->measured;
  }
  if (now >= counter->end) return 1;
  counter->total += bytes;
  if (now >= counter->begin) counter->counted += bytes;
  return 0;
}

void print_count(const struct counter *counter, uint32_t run) {
  printf("{\"run\":%u,\"bytes\":%llu,\"seconds\":%.9f,\"total\":%llu}\n", run, (unsigned long long)counter->counted,
         (double)(counter->end - counter->begin) / 1e9, (unsigned long long)counter->total);
}
