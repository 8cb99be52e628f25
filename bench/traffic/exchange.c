/* Repeats a request of one byte and a response of one byte: over TCP, TCP with a connection each, and UDP. */
#include "traffic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 64, LONGEST = 64, MOST_SAMPLES = 4000000, MOST_FAILURES = 100, TIME_LIMIT = 1000 };

struct server {
  int epoll;
  int listeners[EXCHANGE_PORTS];
};

struct samples {
  double *microseconds;
  int count, failures;
  uint64_t begin, end;
};

static void watch(int epoll, int descriptor, int mark) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)mark << 32 | (uint32_t)descriptor};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) < 0) fail("epoll_ctl");
}

static void accept_one(int epoll, int listener) {
  int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
  if (socket < 0) return;
  send_at_once(socket);
  watch(epoll, socket, 0);
}

static void answer(int socket) {
  char text[LONGEST];
  ssize_t length = recv(socket, text, sizeof text, 0);
  if (length < 0 && errno == EAGAIN) return;
  if (length <= 0 || send(socket, text, (size_t)length, MSG_NOSIGNAL) < 0) close(socket);
}

/* One thread for all connections, so that a connection costs no process or thread. */
static void *serve_connections(void *argument) {
  struct server *server = argument;
  struct epoll_event events[EVENTS];
  for (;;) {
    int ready = epoll_wait(server->epoll, events, EVENTS, -1);
    for (int index = 0; index < ready; index++) {
      int descriptor = (int)(uint32_t)events[index].data.u64;
      if (events[index].data.u64 >> 32) accept_one(server->epoll, descriptor);
      else answer(descriptor);
    }
  }
  return NULL;
}

static void *echo_datagrams(void *argument) {
  int socket = (int)(intptr_t)argument;
  for (;;) {
    char text[LONGEST];
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    ssize_t length = recvfrom(socket, text, sizeof text, 0, (struct sockaddr *)&from, &size);
    if (length >= 0) sendto(socket, text, (size_t)length, 0, (struct sockaddr *)&from, size);
  }
  return NULL;
}

void serve_exchanges(const char *address) {
  struct server *server = calloc(1, sizeof *server);
  server->epoll = epoll_create1(0);
  for (int index = 0; index < EXCHANGE_PORTS; index++) {
    struct endpoint endpoint = parse_endpoint(address, EXCHANGE_PORT + index);
    server->listeners[index] = open_listener(&endpoint, SOCK_STREAM | SOCK_NONBLOCK);
    watch(server->epoll, server->listeners[index], 1);
  }
  start_thread(serve_connections, server);
  struct endpoint endpoint = parse_endpoint(address, DATAGRAM_EXCHANGE_PORT);
  start_thread(echo_datagrams, (void *)(intptr_t)open_listener(&endpoint, SOCK_DGRAM));
}

static struct samples begin_samples(struct period period) {
  struct samples samples = {.microseconds = malloc(MOST_SAMPLES * sizeof(double))};
  samples.begin = nanoseconds() + period.warm;
  samples.end = samples.begin + period.measured;
  return samples;
}

/* Records an exchange that began at `began` and ends now; 0 when the period is over. */
static int sample(struct samples *samples, uint64_t began, int succeeded) {
  uint64_t now = nanoseconds();
  if (!succeeded && ++samples->failures > MOST_FAILURES) fail("too many failures, the last one");
  if (succeeded && began >= samples->begin && samples->count < MOST_SAMPLES)
    samples->microseconds[samples->count++] = (double)(now - began) / 1e3;
  return now < samples->end;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void print_samples(struct samples *samples) {
  int count = samples->count;
  if (count == 0) {
    errno = ETIMEDOUT;
    fail("no response");
  }
  qsort(samples->microseconds, (size_t)count, sizeof(double), compare);
  printf("{\"rate\":%.1f,\"median\":%.2f,\"percentile99\":%.2f,\"failures\":%d}\n",
         count / ((double)(samples->end - samples->begin) / 1e9), samples->microseconds[count / 2],
         samples->microseconds[(int)(count * 0.99)], samples->failures);
  free(samples->microseconds);
}

static int ask(int socket) {
  char text = 'x';
  return send(socket, &text, 1, MSG_NOSIGNAL) == 1 && recv(socket, &text, 1, 0) == 1;
}

void exchange_on(int socket, struct period period) {
  set_time_limit(socket, TIME_LIMIT);
  struct samples samples = begin_samples(period);
  uint64_t began;
  do began = nanoseconds();
  while (sample(&samples, began, ask(socket)));
  print_samples(&samples);
}

void exchange(const char *address, struct period period) {
  struct endpoint endpoint = parse_endpoint(address, EXCHANGE_PORT);
  int socket = connect_patiently(&endpoint, SOCK_STREAM);
  send_at_once(socket);
  exchange_on(socket, period);
}

void datagram_exchange(const char *address, struct period period) {
  struct endpoint endpoint = parse_endpoint(address, DATAGRAM_EXCHANGE_PORT);
  exchange_on(connect_patiently(&endpoint, SOCK_DGRAM), period);
}

void connect_exchange(const char *address, struct period period) {
  struct endpoint endpoints[EXCHANGE_PORTS];
  for (int index = 0; index < EXCHANGE_PORTS; index++) endpoints[index] = parse_endpoint(address, EXCHANGE_PORT + index);
  struct samples samples = begin_samples(period);
  for (unsigned turn = 0;; turn++) {
    const struct endpoint *endpoint = &endpoints[turn % EXCHANGE_PORTS];
    uint64_t began = nanoseconds();
    int descriptor = socket(endpoint->address.ss_family, SOCK_STREAM, 0);
    set_time_limit(descriptor, TIME_LIMIT);
    int succeeded = connect(descriptor, (const struct sockaddr *)&endpoint->address, endpoint->length) == 0 && ask(descriptor);
    close(descriptor);
    if (!sample(&samples, began, succeeded)) break;
  }
  print_samples(&samples);
}
