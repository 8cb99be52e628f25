/* UDP in one direction, as fast as possible. The receiving end counts arrivals. */
#include "traffic.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

enum { DATA = 1, FLOOD = 2, LARGEST = 65507, TIME_LIMIT = 10, ASK_AGAIN = 50, GIVE_UP = 10000 };
/* Milliseconds that the world keeps sending after the guest has stopped counting. */
static const uint64_t MARGIN = 20000000;
/* The path is quiet after this number of milliseconds without a datagram. */
static const int QUIET = 30;

/* The header of each datagram from the guest, in network byte order. */
struct head {
  uint32_t kind, run, size, warm_milliseconds, measured_milliseconds;
};

static struct head make_head(uint32_t kind, uint32_t run, int size, struct period period) {
  return (struct head){htonl(kind), htonl(run), htonl((uint32_t)size), htonl((uint32_t)(period.warm / 1000000)),
                       htonl((uint32_t)(period.measured / 1000000))};
}

static void flood(int socket, const struct sockaddr *to, socklen_t size, size_t length, uint64_t duration) {
  static const char text[LARGEST];
  for (uint64_t until = nanoseconds() + duration; nanoseconds() < until;) sendto(socket, text, length, 0, to, size);
}

static void *serve(void *argument) {
  int socket = (int)(intptr_t)argument;
  char *text = malloc(LARGEST);
  struct counter counter = {0};
  struct period period = {0};
  uint32_t run = 0;
  int is_counting = 0;
  set_time_limit(socket, TIME_LIMIT);
  for (;;) {
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    ssize_t length = recvfrom(socket, text, LARGEST, 0, (struct sockaddr *)&from, &size);
    const struct head *head = (const struct head *)text;
    if (length >= (ssize_t)sizeof *head && ntohl(head->run) != run) {
      run = ntohl(head->run);
      period.warm = (uint64_t)ntohl(head->warm_milliseconds) * 1000000;
      period.measured = (uint64_t)ntohl(head->measured_milliseconds) * 1000000;
      counter = (struct counter){0};
      is_counting = ntohl(head->kind) == DATA;
      if (!is_counting) {
        flood(socket, (struct sockaddr *)&from, size, ntohl(head->size), period.warm + period.measured + MARGIN);
        continue;
      }
    }
    if (is_counting && count(&counter, &period, length > 0 ? (size_t)length : 0)) {
      print_count(&counter, run);
      is_counting = 0;
    }
  }
  return NULL;
}

void serve_datagrams(const char *address) {
  struct endpoint endpoint = parse_endpoint(address, DATAGRAM_PORT);
  start_thread(serve, (void *)(intptr_t)open_listener(&endpoint, SOCK_DGRAM));
}

/* Sends until it is stopped: the world reports the bytes that arrived. */
void datagrams_up(const char *address, uint32_t run, int size, struct period period) {
  struct endpoint endpoint = parse_endpoint(address, DATAGRAM_PORT);
  int socket = connect_patiently(&endpoint, SOCK_DGRAM);
  char *text = calloc(1, LARGEST);
  *(struct head *)text = make_head(DATA, run, size, period);
  for (uint64_t until = nanoseconds() + period.warm + period.measured + (uint64_t)GIVE_UP * 1000000; nanoseconds() < until;)
    send(socket, text, (size_t)size, 0);
}

void datagrams_down(const char *address, uint32_t run, int size, struct period period) {
  struct endpoint endpoint = parse_endpoint(address, DATAGRAM_PORT);
  int socket = connect_patiently(&endpoint, SOCK_DGRAM);
  struct head head = make_head(FLOOD, run, size, period);
  struct counter counter = {0};
  char *text = malloc(LARGEST);
  set_time_limit(socket, ASK_AGAIN);
  for (int tries = 0; counter.first == 0; tries++) {
    if (tries * ASK_AGAIN > GIVE_UP) fail("no datagram");
    send(socket, &head, sizeof head, 0);
    ssize_t length = recv(socket, text, LARGEST, 0);
    if (length > 0) count(&counter, &period, (size_t)length);
  }
  set_time_limit(socket, TIME_LIMIT);
  for (;;) {
    ssize_t length = recv(socket, text, LARGEST, 0);
    if (count(&counter, &period, length > 0 ? (size_t)length : 0)) break;
  }
  set_time_limit(socket, QUIET);
  while (recv(socket, text, LARGEST, 0) > 0) continue;
  print_count(&counter, run);
}
