/* Many flows that stay open, each with a request and a response; and other flows measured beside them. */
#include "traffic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Flows that are begun and not answered yet: few enough that no queue fills. */
enum { UNDER_WAY = 32, EVENTS = 64 };
/* A flow without a response repeats its request after this number of milliseconds, and this often. */
enum { LOST_AFTER = 500, ATTEMPTS = 10 };
/* Flows whose beginning is measured. */
enum { BESIDE = 1000, OTHER_FILES = 64 };

struct flows {
  int type, epoll, begun, answered, last;
  const char *address;
  /* Descriptors are numbers without gaps: what is not answered yet, for datagrams that are lost. */
  unsigned char *is_open;
  int highest;
};

static void request(int socket) {
  char text = 'x';
  if (send(socket, &text, 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN) fail("a flow's request");
}

static void begin(struct flows *flows) {
  int is_stream = flows->type == SOCK_STREAM;
  int port = is_stream ? EXCHANGE_PORT + flows->begun % EXCHANGE_PORTS : DATAGRAM_EXCHANGE_PORT;
  struct endpoint endpoint = parse_endpoint(flows->address, port);
  int descriptor = socket(endpoint.address.ss_family, flows->type | SOCK_NONBLOCK, 0);
  if (descriptor < 0) fail("a flow's socket");
  if (is_stream) {
    send_at_once(descriptor);
    reset_on_close(descriptor);
  }
  if (connect(descriptor, (const struct sockaddr *)&endpoint.address, endpoint.length) < 0 && errno != EINPROGRESS)
    fail("a flow's connect");
  struct epoll_event event = {.events = is_stream ? EPOLLOUT : EPOLLIN, .data.fd = descriptor};
  if (epoll_ctl(flows->epoll, EPOLL_CTL_ADD, descriptor, &event) < 0) fail("epoll_ctl");
  flows->is_open[descriptor] = 1;
  if (descriptor > flows->highest) flows->highest = descriptor;
  flows->begun++;
  if (!is_stream) request(descriptor);
}

static void handle(struct flows *flows, const struct epoll_event *event) {
  int socket = event->data.fd;
  char text;
  if (event->events & EPOLLOUT) {
    struct epoll_event next = {.events = EPOLLIN, .data.fd = socket};
    epoll_ctl(flows->epoll, EPOLL_CTL_MOD, socket, &next);
    request(socket);
    return;
  }
  ssize_t length = recv(socket, &text, 1, 0);
  if (length < 0 && errno == EAGAIN) return;
  if (length == 0) errno = ECONNRESET;
  if (length <= 0) fail("a flow's response");
  /* A duplicate datagram. */
  if (!flows->is_open[socket]) return;
  flows->is_open[socket] = 0;
  flows->answered++;
  flows->last = socket;
}

/* The kernel retransmits lost segments of TCP. */
static void request_again(const struct flows *flows) {
  if (flows->type == SOCK_STREAM) return;
  for (int socket = 0; socket <= flows->highest; socket++)
    if (flows->is_open[socket]) request(socket);
}

/* Opens flows up to a number. Returns the time until each has had its response, nanoseconds. */
static uint64_t open_flows(struct flows *flows, int count) {
  struct epoll_event events[EVENTS];
  uint64_t began = nanoseconds();
  for (int silent = 0; flows->answered < count;) {
    while (flows->begun < count && flows->begun - flows->answered < UNDER_WAY) begin(flows);
    int ready = epoll_wait(flows->epoll, events, EVENTS, LOST_AFTER);
    for (int index = 0; index < ready; index++) handle(flows, &events[index]);
    silent = ready > 0 ? 0 : silent + 1;
    if (silent == ATTEMPTS) {
      errno = ETIMEDOUT;
      fail("a flow's response");
    }
    if (silent > 0) request_again(flows);
  }
  return nanoseconds() - began;
}

static void print_set_up(struct flows *flows, int further) {
  uint64_t time = open_flows(flows, flows->begun + further);
  printf("{\"rate\":%.1f}\n", further / ((double)time / 1e9));
}

/* Opens flows, and then more: prints the rate each time, and holds all of them open until the end of the input. */
void new_flows(const char *address, int type, int first, int further) {
  struct flows flows = {.type = type, .epoll = epoll_create1(0), .address = address};
  flows.is_open = calloc((size_t)first + (size_t)further + OTHER_FILES, 1);
  print_set_up(&flows, first);
  print_set_up(&flows, further);
  while (getchar() != EOF);
}

/*
 * Opens many flows, reports that and waits for a line of input. Then measures how fast others begin beside them, and
 * request-response over one of these; and holds all of them open until the end of the input.
 */
void flows(const char *address, int type, int count, struct period period) {
  struct flows flows = {.type = type, .epoll = epoll_create1(0), .address = address};
  flows.is_open = calloc((size_t)count + BESIDE + OTHER_FILES, 1);
  open_flows(&flows, count);
  puts("open");
  if (getchar() == EOF) return;
  print_set_up(&flows, BESIDE);
  fcntl(flows.last, F_SETFL, 0);
  exchange_on(flows.last, period);
  while (getchar() != EOF);
}
