/*
 * A UDP server that sends every datagram back, unless it is a request: words and fields joined by tabs.
 *
 *   do:size bytes= seed=   answers with `bytes` bytes of the pattern
 *   do:intrude             others (another address, another port) send first; then answers
 *   do:who                 answers with the client's end as the server sees it, and the port at which it arrived
 *   do:arrival             answers with the client's address, and the port at which it arrived
 *
 * Request: listen=ADDRESS/PORT[/dual],...: the addresses of a family know each other. Prints "ready".
 */
#include "traffic.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGEST = 65536, LARGEST_REQUEST = 200, MOST_SOCKETS = 4096, LINE = 512, MOST_WORDS = 8 };

static struct pollfd sockets[MOST_SOCKETS];
static int socket_count;

static int bound_socket(const char *address, int port, int is_dual) {
  struct endpoint endpoint = parse_endpoint(address, port);
  int descriptor = socket(endpoint.address.ss_family, SOCK_DGRAM, 0), only = !is_dual;
  if (descriptor < 0) fail("socket");
  enlarge_buffers(descriptor);
  setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  bind_to(descriptor, address, port);
  return descriptor;
}

static void open_at(const char *address, int port, int is_dual) {
  if (socket_count == MOST_SOCKETS) return;
  sockets[socket_count++] = (struct pollfd){.fd = bound_socket(address, port, is_dual), .events = POLLIN};
}

static void send_to(int socket, const void *bytes, size_t length, const struct endpoint *to) {
  sendto(socket, bytes, length, 0, (const struct sockaddr *)&to->address, to->length);
}

static void send_text(int socket, const char *text, const struct endpoint *to) { send_to(socket, text, strlen(text), to); }

static void size(int socket, const struct fields *request, const struct endpoint *from) {
  send_to(socket, pattern(number_of(request, "seed", 0), 0), (size_t)number_of(request, "bytes", 0), from);
}

static void intrude(int socket, const struct fields *request, const struct endpoint *from) {
  (void)request;
  struct endpoint own = own_end(socket);
  char own_address[LINE];
  snprintf(own_address, sizeof own_address, "%s", address_text(&own));
  for (int index = 0; index < socket_count; index++) {
    struct endpoint other = own_end(sockets[index].fd);
    if (sockets[index].fd == socket || other.address.ss_family != own.address.ss_family) continue;
    const char *what = strcmp(address_text(&other), own_address) == 0 ? "from another port" : "from a stranger";
    send_text(sockets[index].fd, what, from);
  }
  int another = bound_socket(own_address, 0, 0);
  send_text(another, "from another port", from);
  close(another);
  send_text(socket, "from the one that was asked", from);
}

static void who(int socket, const struct fields *request, const struct endpoint *from) {
  (void)request;
  struct endpoint own = own_end(socket);
  char text[LINE];
  snprintf(text, sizeof text, "{\"address\":\"%s\",\"port\":%d,\"localPort\":%d}", address_text(from), port_of(from),
           port_of(&own));
  send_text(socket, text, from);
}

static void arrival(int socket, const struct fields *request, const struct endpoint *from) {
  (void)request;
  struct endpoint own = own_end(socket);
  char text[LINE];
  snprintf(text, sizeof text, "{\"from\":\"%s\",\"port\":%d}", address_text(from), port_of(&own));
  send_text(socket, text, from);
}

static const struct {
  const char *name;
  void (*run)(int socket, const struct fields *request, const struct endpoint *from);
} behaviours[] = {
    {"do:size", size},
    {"do:intrude", intrude},
    {"do:who", who},
    {"do:arrival", arrival},
};

static void receive(int socket) {
  static char message[LARGEST];
  struct endpoint from = {.length = sizeof from.address};
  ssize_t length = recvfrom(socket, message, sizeof message - 1, MSG_DONTWAIT, (struct sockaddr *)&from.address, &from.length);
  if (length < 0) return;
  if (length >= LARGEST_REQUEST || strncmp(message, "do:", 3) != 0) {
    send_to(socket, message, (size_t)length, &from);
    return;
  }
  message[length] = '\0';
  char *words[MOST_WORDS];
  struct fields request = words_of(message, words, MOST_WORDS);
  for (size_t index = 0; index < sizeof behaviours / sizeof *behaviours; index++)
    if (strcmp(behaviours[index].name, words[0]) == 0) behaviours[index].run(socket, &request, &from);
}

void run_udp_server(const struct fields *request) {
  for_each_place(request, open_at);
  puts("ready");
  for (;;) {
    poll(sockets, (nfds_t)socket_count, -1);
    for (int index = 0; index < socket_count; index++)
      if (sockets[index].revents) receive(sockets[index].fd);
  }
}
