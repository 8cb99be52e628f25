/*
 * A TCP server that carries out the first line of each connection, words and fields joined by tabs:
 *
 *   send bytes= seed= [name=]        sends the pattern, then FIN; if named, prints that all is sent
 *   receive bytes= seed=             reads up to the FIN, answers {bytes, intact}
 *   echo                             sends everything back
 *   answer-after-end bytes= seed=    sends only after the client's FIN
 *   end-first bytes= seed=           sends FIN at once, then reads; prints what it got
 *   reset after=                     reads that many more bytes and resets the connection
 *   hold name=                       confirms the connection, sends nothing more, and prints when it is closed
 *   report name=                     reads everything and prints how it ended
 *   slow-read rate= bytes= seed=     answers "slow", reads `rate` bytes per second, answers {bytes, intact}
 *   slow-send rate= bytes= seed=     answers "slow", sends `rate` bytes per second
 *   who                              answers with both ends as it sees them
 *   arrival                          answers with the client's address, and the port at which it arrived
 *
 * Request: listen=ADDRESS/PORT[/dual],... Prints "ready", then a line of JSON for each event. A line on standard input
 * makes the running slow transfers continue at full speed.
 */
#include "traffic.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 256 << 10, SLOW_PIECE = 1000, LINE = 512, MOST_WORDS = 8, BACKLOG = 4096 };

/* Counts the lines of standard input: each speeds up the transfers that have answered "slow" before it. */
static struct {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int count;
} hurry = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void hurry_all(void) {
  pthread_mutex_lock(&hurry.mutex);
  hurry.count++;
  pthread_cond_broadcast(&hurry.changed);
  pthread_mutex_unlock(&hurry.mutex);
}

/* Waits a number of seconds; true if the transfer is to hurry. */
static int is_hurried(int since, double seconds) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += (time_t)seconds;
  until.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&hurry.mutex);
  while (hurry.count == since && pthread_cond_timedwait(&hurry.changed, &hurry.mutex, &until) != ETIMEDOUT) continue;
  int result = hurry.count != since;
  pthread_mutex_unlock(&hurry.mutex);
  return result;
}

static int send_text(int socket, const char *text) {
  return send(socket, text, strlen(text), MSG_NOSIGNAL) < 0 ? errno : 0;
}

/* Begins a slow transfer, and says so to the client. Returns what is_hurried() needs. */
static int begin_slowly(int socket) {
  pthread_mutex_lock(&hurry.mutex);
  int since = hurry.count;
  pthread_mutex_unlock(&hurry.mutex);
  send_text(socket, "slow");
  return since;
}

/* Reads to the end. Returns an error number, or 0. */
static int drain(int socket) {
  char piece[LINE];
  ssize_t length;
  while ((length = recv(socket, piece, sizeof piece, 0)) > 0) continue;
  return length < 0 ? errno : 0;
}

static struct reception begin_reception(const struct fields *request) {
  return (struct reception){.seed = number_of(request, "seed", 0), .is_intact = 1};
}

static const char *name_of(const struct fields *request) {
  const char *name = text_of(request, "name");
  return name == NULL ? "" : name;
}

static void answer(int socket, const struct reception *reception, const struct fields *request) {
  int is_intact = reception->is_intact && reception->bytes == number_of(request, "bytes", 0);
  char text[LINE];
  snprintf(text, sizeof text, "{\"bytes\":%llu,\"intact\":%s}\n", (unsigned long long)reception->bytes,
           is_intact ? "true" : "false");
  send_text(socket, text);
  shutdown(socket, SHUT_WR);
}

static void send_all(int socket, const struct fields *request, uint64_t from) {
  if (send_pattern(socket, number_of(request, "seed", 0), from, number_of(request, "bytes", 0)) != 0) return;
  shutdown(socket, SHUT_WR);
  if (text_of(request, "name") != NULL) printf("{\"event\":\"sent\",\"name\":\"%s\"}\n", name_of(request));
  drain(socket);
}

static void send_now(int socket, const struct fields *request) { send_all(socket, request, 0); }

static void receive(int socket, const struct fields *request) {
  struct reception reception = begin_reception(request);
  if (receive_pattern(socket, &reception) == 0) answer(socket, &reception, request);
}

static void echo(int socket, const struct fields *request) {
  (void)request;
  char *piece = malloc(PIECE);
  ssize_t length;
  while ((length = recv(socket, piece, PIECE, 0)) > 0) {
    for (ssize_t sent = 0, more; sent < length; sent += more)
      if ((more = send(socket, piece + sent, (size_t)(length - sent), MSG_NOSIGNAL)) < 0) length = more = 0;
  }
  free(piece);
  shutdown(socket, SHUT_WR);
}

static void answer_after_end(int socket, const struct fields *request) {
  if (drain(socket) == 0) send_all(socket, request, 0);
}

static void end_first(int socket, const struct fields *request) {
  send_text(socket, "bye");
  shutdown(socket, SHUT_WR);
  struct reception reception = begin_reception(request);
  if (receive_pattern(socket, &reception) != 0) return;
  printf("{\"event\":\"received\",\"seed\":%llu,\"bytes\":%llu,\"intact\":%s}\n", (unsigned long long)reception.seed,
         (unsigned long long)reception.bytes, reception.is_intact ? "true" : "false");
}

static void reset(int socket, const struct fields *request) {
  char piece[LINE];
  for (uint64_t left = number_of(request, "after", 0); left > 0;) {
    ssize_t length = recv(socket, piece, left < sizeof piece ? (size_t)left : sizeof piece, 0);
    if (length <= 0) break;
    left -= (uint64_t)length;
  }
  reset_on_close(socket);
}

static void hold_open(int socket, const struct fields *request) {
  send_text(socket, "held");
  printf("{\"event\":\"held\",\"name\":\"%s\"}\n", name_of(request));
  drain(socket);
  printf("{\"event\":\"closed\",\"name\":\"%s\"}\n", name_of(request));
}

static void report(int socket, const struct fields *request) {
  send_text(socket, "here");
  printf("{\"event\":\"here\",\"name\":\"%s\"}\n", name_of(request));
  int error = drain(socket);
  printf("{\"event\":\"ended\",\"name\":\"%s\",\"how\":\"%s\"}\n", name_of(request), error == 0 ? "FIN" : error_name(error));
}

static void slow_read(int socket, const struct fields *request) {
  double rate = (double)number_of(request, "rate", 1);
  struct reception reception = begin_reception(request);
  char piece[SLOW_PIECE];
  ssize_t length;
  int since = begin_slowly(socket), error = 0;
  while ((length = recv(socket, piece, sizeof piece, 0)) > 0) {
    compare(&reception, piece, (size_t)length);
    if (!is_hurried(since, (double)length / rate)) continue;
    error = receive_pattern(socket, &reception);
    break;
  }
  if (length >= 0 && error == 0) answer(socket, &reception, request);
}

static void slow_send(int socket, const struct fields *request) {
  uint64_t seed = number_of(request, "seed", 0), bytes = number_of(request, "bytes", 0);
  uint64_t step = number_of(request, "rate", 1) / 10, sent = 0;
  int since = begin_slowly(socket);
  while (sent + step < bytes && !is_hurried(since, 0.1)) {
    if (send_pattern(socket, seed, sent, sent + step) != 0) return;
    sent += step;
  }
  send_all(socket, request, sent);
}

static void who(int socket, const struct fields *request) {
  (void)request;
  struct endpoint here = own_end(socket), there = other_end(socket);
  char text[LINE];
  int length = snprintf(text, sizeof text, "{\"remoteAddress\":\"%s\",\"remotePort\":%d,", address_text(&there), port_of(&there));
  snprintf(text + length, sizeof text - (size_t)length, "\"localAddress\":\"%s\",\"localPort\":%d}", address_text(&here),
           port_of(&here));
  send_text(socket, text);
  shutdown(socket, SHUT_WR);
  drain(socket);
}

static void arrival(int socket, const struct fields *request) {
  (void)request;
  struct endpoint here = own_end(socket), there = other_end(socket);
  char text[LINE];
  snprintf(text, sizeof text, "{\"from\":\"%s\",\"port\":%d}", address_text(&there), port_of(&here));
  send_text(socket, text);
  shutdown(socket, SHUT_WR);
  drain(socket);
}

static const struct {
  const char *name;
  void (*run)(int socket, const struct fields *request);
} behaviours[] = {
    {"send", send_now},
    {"receive", receive},
    {"echo", echo},
    {"answer-after-end", answer_after_end},
    {"end-first", end_first},
    {"reset", reset},
    {"hold", hold_open},
    {"report", report},
    {"slow-read", slow_read},
    {"slow-send", slow_send},
    {"who", who},
    {"arrival", arrival},
};

/* Reads up to the first line feed; false if none comes. */
static int read_line(int socket, char *line, size_t room) {
  for (size_t have = 0; have < room;) {
    ssize_t length = recv(socket, line + have, room - have, MSG_PEEK);
    if (length <= 0) return 0;
    char *end = memchr(line + have, '\n', (size_t)length);
    size_t taken = end == NULL ? (size_t)length : (size_t)(end - line) + 1 - have;
    if (recv(socket, line + have, taken, 0) < 0) return 0;
    have += taken;
    if (end == NULL) continue;
    *end = '\0';
    return 1;
  }
  return 0;
}

static void *serve_one(void *argument) {
  int socket = (int)(intptr_t)argument;
  char line[LINE], *words[MOST_WORDS];
  send_at_once(socket);
  /* A connection that ends without a line is ignored. */
  if (read_line(socket, line, sizeof line)) {
    struct fields request = words_of(line, words, MOST_WORDS);
    for (size_t index = 0; index < sizeof behaviours / sizeof *behaviours; index++)
      if (strcmp(behaviours[index].name, words[0]) == 0) behaviours[index].run(socket, &request);
  }
  close(socket);
  return NULL;
}

static void *accept_all(void *argument) {
  int listener = (int)(intptr_t)argument;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 128 << 10);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  for (;;) {
    int socket = accept(listener, NULL, NULL);
    pthread_t thread;
    if (socket >= 0 && pthread_create(&thread, &attributes, serve_one, (void *)(intptr_t)socket) != 0) close(socket);
  }
  return NULL;
}

static void open_listener_at(const char *address, int port, int is_dual) {
  struct endpoint endpoint = parse_endpoint(address, port);
  int listener = socket(endpoint.address.ss_family, SOCK_STREAM, 0), one = 1, only = !is_dual;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  bind_to(listener, address, port);
  if (listen(listener, BACKLOG) < 0) fail("listen");
  start_thread(accept_all, (void *)(intptr_t)listener);
}

void run_tcp_server(const struct fields *request) {
  for_each_place(request, open_listener_at);
  puts("ready");
  char line[LINE];
  while (fgets(line, sizeof line, stdin) != NULL) hurry_all();
  for (;;) pause();
}
