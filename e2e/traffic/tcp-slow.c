/* TCP clients that wait: for a slow end, or for nothing at all. A line on standard input ends the waiting. */
#include "traffic.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 512, SLOW_PIECE = 1000, AT_ONCE = 100 };

static struct {
  const struct fields *request;
  char line[LINE];
  int count, next;
  struct pollfd *all;
} held;

static void *open_held(void *argument) {
  int index;
  while ((index = __atomic_fetch_add(&held.next, 1, __ATOMIC_RELAXED)) < held.count) {
    int socket = open_stream(held.request, NULL, held.line);
    char text[4];
    if (recv(socket, text, sizeof text, MSG_WAITALL) != sizeof text) fail("the server's answer");
    held.all[index] = (struct pollfd){.fd = socket, .events = POLLIN};
  }
  return argument;
}

/* The outcome of a connection with an event; nothing if it is still open. */
static const char *ending(int socket) {
  char text[LINE];
  ssize_t length = recv(socket, text, sizeof text, MSG_DONTWAIT);
  if (length > 0 || (length < 0 && errno == EAGAIN)) return NULL;
  return length == 0 ? "FIN" : error_name(errno);
}

/* Connections that stay idle until standard input ends, or all of them have ended. */
void hold(const struct fields *request) {
  const char *name = text_of(request, "name");
  held.request = request;
  held.count = (int)number_of(request, "connections", 1);
  held.all = calloc((size_t)held.count + 1, sizeof *held.all);
  snprintf(held.line, sizeof held.line, "hold\tname=%s\n", name == NULL ? "" : name);
  pthread_t threads[AT_ONCE];
  for (int index = 0; index < AT_ONCE; index++) pthread_create(&threads[index], NULL, open_held, NULL);
  for (int index = 0; index < AT_ONCE; index++) pthread_join(threads[index], NULL);
  printf("{\"held\":%d}\n", held.count);

  const char **endings = calloc((size_t)held.count, sizeof *endings);
  struct pollfd *input = &held.all[held.count];
  *input = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
  for (int left = held.count; left > 0;) {
    poll(held.all, (nfds_t)held.count + 1, -1);
    char text[LINE];
    if (input->revents && read(STDIN_FILENO, text, sizeof text) <= 0) {
      puts("{\"endings\":\"input\"}");
      return;
    }
    for (int index = 0; index < held.count; index++) {
      if (!held.all[index].revents || (endings[index] = ending(held.all[index].fd)) == NULL) continue;
      held.all[index].fd = -1;
      left--;
    }
  }
  for (int index = 0; index < held.count; index++)
    printf("%s\"%s\"", index == 0 ? "{\"endings\":[" : ",", endings[index]);
  puts("]}");
}

/* Waits a number of seconds for a line of standard input; true if one came. */
static int hears(double seconds) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  char text[LINE];
  return poll(&input, 1, seconds > 1e6 ? -1 : (int)(seconds * 1000)) > 0 && read(STDIN_FILENO, text, sizeof text) > 0;
}

/* Reads `rate` bytes a second until a line comes on standard input, then the rest at full speed. */
void slow_download(const struct fields *request) {
  uint64_t bytes = number_of(request, "bytes", 0), seed = number_of(request, "seed", 0);
  double rate = (double)number_of(request, "rate", 1);
  const char *name = text_of(request, "name");
  char line[LINE], piece[SLOW_PIECE];
  snprintf(line, sizeof line, "send\tbytes=%llu\tseed=%llu\t%s%s\n", (unsigned long long)bytes, (unsigned long long)seed,
           name == NULL ? "" : "name=", name == NULL ? "" : name);
  int socket = open_stream(request, NULL, line);
  puts("{\"started\":true}");
  struct reception reception = {.seed = seed, .is_intact = 1};
  for (;;) {
    ssize_t length = recv(socket, piece, sizeof piece, 0);
    if (length <= 0) break;
    compare(&reception, piece, (size_t)length);
    if (hears((double)length / rate)) break;
  }
  printf("{\"slowBytes\":%llu}\n", (unsigned long long)reception.bytes);
  errno = receive_pattern(socket, &reception);
  if (errno != 0) fail("a connection");
  print_reception(&reception, bytes);
}

/* Waits until the server has begun a slow transfer: a line on its standard input then speeds the transfer up. */
static int open_slow_stream(const struct fields *request, const char *line) {
  int socket = open_stream(request, NULL, line);
  if (!is_answered(socket, "slow")) fail("the server's answer");
  puts("{\"started\":true}");
  return socket;
}

/* Writes to a server that reads slowly. */
void slow_upload(const struct fields *request) {
  uint64_t bytes = number_of(request, "bytes", 0), seed = number_of(request, "seed", 0);
  char line[LINE];
  snprintf(line, sizeof line, "slow-read\trate=%llu\tbytes=%llu\tseed=%llu\n",
           (unsigned long long)number_of(request, "rate", 1), (unsigned long long)bytes, (unsigned long long)seed);
  int socket = open_slow_stream(request, line);
  errno = send_pattern(socket, seed, 0, bytes);
  if (errno != 0) fail("a connection");
  puts("{\"sent\":true}");
  shutdown(socket, SHUT_WR);
  fputs(read_answer(socket, line, sizeof line), stdout);
}

/* Reads from a server that writes slowly. */
void slow_server(const struct fields *request) {
  uint64_t bytes = number_of(request, "bytes", 0), seed = number_of(request, "seed", 0);
  char line[LINE];
  snprintf(line, sizeof line, "slow-send\trate=%llu\tbytes=%llu\tseed=%llu\n",
           (unsigned long long)number_of(request, "rate", 1), (unsigned long long)bytes, (unsigned long long)seed);
  int socket = open_slow_stream(request, line);
  struct reception reception = {.seed = seed, .is_intact = 1};
  errno = receive_pattern(socket, &reception);
  if (errno != 0) fail("a connection");
  print_reception(&reception, bytes);
}
