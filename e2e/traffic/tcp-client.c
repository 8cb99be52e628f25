/* TCP clients, one for each scenario. Errors of a connection are results, by their names. */
#include "traffic.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 256 << 10, MOST_ENDS = 1024, LINE = 512 };
/* Milliseconds. */
enum { PATIENCE = 60000 };

int try_stream(const struct fields *request, const char *from, const char *line) {
  struct endpoint endpoint = far_end(request);
  int descriptor = socket(endpoint.address.ss_family, SOCK_STREAM, 0);
  if (descriptor < 0) return -errno;
  bind_to(descriptor, from, 0);
  send_at_once(descriptor);
  int error = connect(descriptor, (struct sockaddr *)&endpoint.address, endpoint.length) < 0 ? errno : 0;
  if (error == 0 && line != NULL && send(descriptor, line, strlen(line), MSG_NOSIGNAL) < 0) error = errno;
  if (error == 0) return descriptor;
  close(descriptor);
  return -error;
}

int open_stream(const struct fields *request, const char *from, const char *line) {
  int descriptor = try_stream(request, from, line);
  if (descriptor >= 0) return descriptor;
  errno = -descriptor;
  fail("connect");
}

const char *read_answer(int socket, char *text, size_t room) {
  size_t length = 0;
  ssize_t more;
  while (length < room - 1 && (more = recv(socket, text + length, room - 1 - length, 0)) > 0) length += (size_t)more;
  text[length] = '\0';
  return text;
}

/* Reads an answer of known bytes: true if they arrived. */
int is_answered(int socket, const char *answer) {
  char text[LINE];
  size_t length = strlen(answer);
  return recv(socket, text, length, MSG_WAITALL) == (ssize_t)length && memcmp(text, answer, length) == 0;
}

/* Sends the pattern, then FIN, and receives to the end meanwhile. Returns an error number, or 0. */
static int exchange_patterns(int socket, uint64_t seed, uint64_t bytes, struct reception *reception) {
  char *buffer = malloc(PIECE);
  int error = 0, is_over = 0;
  for (uint64_t sent = 0; error == 0 && !is_over;) {
    struct pollfd state = {.fd = socket, .events = sent < bytes ? POLLIN | POLLOUT : POLLIN};
    poll(&state, 1, -1);
    if (state.revents & POLLOUT) {
      size_t most = bytes - sent < PIECE ? (size_t)(bytes - sent) : PIECE;
      ssize_t length = send(socket, pattern(seed, sent), most, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (length >= 0) sent += (uint64_t)length;
      else if (errno != EAGAIN) error = errno;
      if (sent == bytes) shutdown(socket, SHUT_WR);
    }
    if (error == 0 && (state.revents & ~POLLOUT)) {
      ssize_t length = recv(socket, buffer, PIECE, MSG_DONTWAIT);
      if (length > 0) compare(reception, buffer, (size_t)length);
      else if (length == 0) is_over = 1;
      else if (errno != EAGAIN) error = errno;
    }
  }
  free(buffer);
  return error;
}

static struct reception new_reception(uint64_t seed) { return (struct reception){.seed = seed, .is_intact = 1}; }

static void must(int error) {
  if (error == 0) return;
  errno = error;
  fail("a connection");
}

static void download(const struct fields *request) {
  uint64_t bytes = number_of(request, "bytes", 0), seed = number_of(request, "seed", 0);
  char line[LINE];
  snprintf(line, sizeof line, "send\tbytes=%llu\tseed=%llu\n", (unsigned long long)bytes, (unsigned long long)seed);
  struct reception reception = new_reception(seed);
  must(receive_pattern(open_stream(request, NULL, line), &reception));
  print_reception(&reception, bytes);
}

/* The server compares, and reports the result. */
static void upload(const struct fields *request) {
  uint64_t bytes = number_of(request, "bytes", 0), seed = number_of(request, "seed", 0);
  char line[LINE];
  snprintf(line, sizeof line, "receive\tbytes=%llu\tseed=%llu\n", (unsigned long long)bytes, (unsigned long long)seed);
  int socket = open_stream(request, NULL, line);
  must(send_pattern(socket, seed, 0, bytes));
  shutdown(socket, SHUT_WR);
  fputs(read_answer(socket, line, sizeof line), stdout);
}

/* Both directions of one connection at the same time. */
static void echo(const struct fields *request) {
  uint64_t bytes = number_of(request, "bytes", 0), seed = number_of(request, "seed", 0);
  struct reception reception = new_reception(seed);
  must(exchange_patterns(open_stream(request, NULL, "echo\n"), seed, bytes, &reception));
  print_reception(&reception, bytes);
}

/* One of several connections that run in parallel. */
struct one {
  const struct fields *request;
  uint64_t seed, bytes;
  const char *from;
  pthread_barrier_t *all_connected, *go_on;
  int is_intact;
};

static void *run_one(void *argument) {
  struct one *one = argument;
  int socket = open_stream(one->request, one->from, NULL);
  pthread_barrier_wait(one->all_connected);
  pthread_barrier_wait(one->go_on);
  struct reception reception = new_reception(one->seed);
  if (send(socket, "echo\n", 5, MSG_NOSIGNAL) == 5 && exchange_patterns(socket, one->seed, one->bytes, &reception) == 0)
    one->is_intact = reception.is_intact && reception.bytes == one->bytes;
  close(socket);
  return NULL;
}

static void start_small(pthread_t *thread, void *(*run)(void *), void *argument) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 128 << 10);
  errno = pthread_create(thread, &attributes, run, argument);
  if (errno != 0) fail("thread");
  pthread_attr_destroy(&attributes);
}

/* Opens all connections before any of them carries data. Returns the number that were intact. */
static int run_all(struct one *all, int count, int pauses) {
  pthread_t *threads = calloc((size_t)count, sizeof *threads);
  pthread_barrier_t all_connected, go_on;
  pthread_barrier_init(&all_connected, NULL, (unsigned)count + 1);
  pthread_barrier_init(&go_on, NULL, (unsigned)count + 1);
  for (int index = 0; index < count; index++) {
    all[index].all_connected = &all_connected;
    all[index].go_on = &go_on;
    start_small(&threads[index], run_one, &all[index]);
  }
  pthread_barrier_wait(&all_connected);
  if (pauses) {
    printf("{\"connected\":%d}\n", count);
    while (getchar() != '\n') continue;
  }
  pthread_barrier_wait(&go_on);
  int intact = 0;
  for (int index = 0; index < count; index++) {
    pthread_join(threads[index], NULL);
    intact += all[index].is_intact;
  }
  free(threads);
  return intact;
}

static void many(const struct fields *request) {
  int count = (int)number_of(request, "connections", 0);
  struct one *all = calloc((size_t)count, sizeof *all);
  uint64_t seed = number_of(request, "seed", 0), bytes = number_of(request, "bytes", 0);
  for (int index = 0; index < count; index++) all[index] = (struct one){.request = request, .seed = seed, .bytes = bytes};
  int intact = run_all(all, count, text_of(request, "pause") != NULL);
  printf("{\"connected\":%d,\"intact\":%d}\n", count, intact);
}

/* One echo from each of several addresses of our own, in parallel. */
static void from_addresses(const struct fields *request) {
  char *from[MOST_ENDS];
  int count = list_of(request, "from", from, MOST_ENDS);
  struct one *all = calloc((size_t)count, sizeof *all);
  uint64_t bytes = number_of(request, "bytes", 0);
  for (int index = 0; index < count; index++)
    all[index] = (struct one){.request = request, .seed = (uint64_t)index, .bytes = bytes, .from = from[index]};
  printf("{\"intact\":%d}\n", run_all(all, count, 0));
}

/* Small requests over one connection, each after the answer to the one before. */
static void requests(const struct fields *request) {
  int socket = open_stream(request, NULL, "echo\n");
  int count = (int)number_of(request, "count", 0), answered = 0;
  for (int number = 0; number < count; number++) {
    char question[LINE];
    int length = snprintf(question, sizeof question, "request %d", number);
    if (send(socket, question, (size_t)length, MSG_NOSIGNAL) == length) answered += is_answered(socket, question);
  }
  printf("{\"answered\":%d}\n", answered);
}

enum { MOST_ERRORS = 16 };

/* Many connections in succession, some at a time. */
static struct {
  pthread_mutex_t mutex;
  const struct fields *request;
  uint64_t wanted, started, intact;
  struct {
    int error, times;
  } errors[MOST_ERRORS];
} shorts = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void count_short(int error, int is_intact) {
  pthread_mutex_lock(&shorts.mutex);
  shorts.intact += (uint64_t)is_intact;
  for (int index = 0; error != 0 && index < MOST_ERRORS; index++) {
    if (shorts.errors[index].times > 0 && shorts.errors[index].error != error) continue;
    shorts.errors[index].error = error;
    shorts.errors[index].times++;
    break;
  }
  pthread_mutex_unlock(&shorts.mutex);
}

static void *run_shorts(void *argument) {
  uint64_t seed;
  while ((seed = __atomic_fetch_add(&shorts.started, 1, __ATOMIC_RELAXED)) < shorts.wanted) {
    char line[LINE];
    snprintf(line, sizeof line, "send\tbytes=100\tseed=%llu\n", (unsigned long long)seed);
    int socket = try_stream(shorts.request, NULL, line);
    struct reception reception = new_reception(seed);
    int error = socket < 0 ? -socket : receive_pattern(socket, &reception);
    count_short(error, error == 0 && reception.is_intact && reception.bytes == 100);
    if (socket >= 0) close(socket);
  }
  return argument;
}

static void short_ones(const struct fields *request) {
  int at_once = (int)number_of(request, "atOnce", 1);
  pthread_t *threads = calloc((size_t)at_once, sizeof *threads);
  shorts.request = request;
  shorts.wanted = number_of(request, "connections", 0);
  pattern(0, 0);
  for (int index = 0; index < at_once; index++) start_small(&threads[index], run_shorts, NULL);
  for (int index = 0; index < at_once; index++) pthread_join(threads[index], NULL);
  printf("{\"intact\":%llu,\"errors\":{", (unsigned long long)shorts.intact);
  for (int index = 0; index < MOST_ERRORS && shorts.errors[index].times > 0; index++)
    printf("%s\"%s\":%d", index > 0 ? "," : "", error_name(shorts.errors[index].error), shorts.errors[index].times);
  puts("}}");
}

/* The client's FIN first; the server's data afterwards. */
static void end_first(const struct fields *request) {
  uint64_t bytes = number_of(request, "bytes", 0), seed = number_of(request, "seed", 0);
  char line[LINE];
  snprintf(line, sizeof line, "answer-after-end\tbytes=%llu\tseed=%llu\n%s", (unsigned long long)bytes,
           (unsigned long long)seed, "the last words of the client");
  int socket = open_stream(request, NULL, line);
  shutdown(socket, SHUT_WR);
  struct reception reception = new_reception(seed);
  must(receive_pattern(socket, &reception));
  print_reception(&reception, bytes);
}

/* The server's FIN first; the client's data afterwards, which the server compares. */
static void end_last(const struct fields *request) {
  uint64_t bytes = number_of(request, "bytes", 0), seed = number_of(request, "seed", 0);
  char line[LINE], text[LINE];
  snprintf(line, sizeof line, "end-first\tbytes=%llu\tseed=%llu\n", (unsigned long long)bytes, (unsigned long long)seed);
  int socket = open_stream(request, NULL, line);
  read_answer(socket, text, sizeof text);
  must(send_pattern(socket, seed, 0, bytes));
  shutdown(socket, SHUT_WR);
  printf("{\"text\":\"%s\"}\n", text);
}

static void print_end(int error) { printf("{\"how\":\"%s\"}\n", error == 0 ? "FIN" : error_name(error)); }

static void reset_by_server(const struct fields *request) {
  uint64_t after = number_of(request, "after", 0);
  char line[LINE];
  snprintf(line, sizeof line, "reset\tafter=%llu\n", (unsigned long long)after);
  struct reception reception = new_reception(1);
  print_end(exchange_patterns(open_stream(request, NULL, line), 1, after + 1, &reception));
}

static void reset_by_client(const struct fields *request) {
  int socket = open_stream(request, NULL, "report\tname=reset\n");
  if (!is_answered(socket, "here")) fail("the server's answer");
  reset_on_close(socket);
  close(socket);
  puts("{}");
}

/* One attempt to connect. Returns its outcome, or "late". */
static void attempt(const struct fields *request) {
  struct endpoint endpoint = far_end(request);
  int descriptor = socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int error = connect(descriptor, (struct sockaddr *)&endpoint.address, endpoint.length) < 0 ? errno : 0;
  const char *outcome = NULL;
  if (error == EINPROGRESS) {
    struct pollfd state = {.fd = descriptor, .events = POLLOUT};
    if (poll(&state, 1, (int)number_of(request, "timeout", PATIENCE)) == 0) outcome = "late";
    socklen_t length = sizeof error;
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
  }
  if (outcome == NULL) outcome = error == 0 ? "connected" : error_name(error);
  printf("{\"outcome\":\"%s\"}\n", outcome);
}

/* Connects, sends nothing, and reads to the end, which may come before the connection is reported. */
static void read_only(const struct fields *request) {
  int socket = try_stream(request, NULL, NULL);
  struct reception reception = new_reception(0);
  int error = socket < 0 ? -socket : receive_pattern(socket, &reception);
  printf("{\"bytes\":%llu,\"how\":\"%s\"}\n", (unsigned long long)reception.bytes, error == 0 ? "FIN" : error_name(error));
}

/* Transfers until the server goes away, and reports the resulting error. */
static void until_death(const struct fields *request) {
  const uint64_t endless = 1000000000000;
  struct reception reception = new_reception(1);
  if (strcmp(text_of(request, "direction"), "down") == 0) {
    int socket = open_stream(request, NULL, "send\tbytes=1000000000000\tseed=1\n");
    char first;
    if (recv(socket, &first, 1, MSG_PEEK) != 1) fail("the server's data");
    puts("{\"started\":true}");
    print_end(receive_pattern(socket, &reception));
  } else {
    int socket = open_stream(request, NULL, "receive\tseed=1\n");
    puts("{\"started\":true}");
    print_end(exchange_patterns(socket, 1, endless, &reception));
  }
}

/* Our end as the server sees it; from several addresses of our own in parallel, if named. */
static void who(const struct fields *request) {
  char *from[MOST_ENDS] = {NULL};
  int sockets[MOST_ENDS], count = list_of(request, "from", from, MOST_ENDS);
  if (count == 0) count = 1;
  for (int index = 0; index < count; index++) sockets[index] = open_stream(request, from[index], "who\n");
  for (int index = 0; index < count; index++) {
    char text[LINE];
    printf("%s%s", index == 0 ? "{\"answers\":[" : ",", read_answer(sockets[index], text, sizeof text));
  }
  puts("]}");
}

/* Our address as the server sees it and the server's port, or the error that is returned. */
static void arrival(const struct fields *request) {
  char text[LINE] = "";
  int socket = try_stream(request, text_of(request, "from"), "arrival\n");
  ssize_t length = socket < 0 ? socket : recv(socket, text, sizeof text - 1, MSG_WAITALL);
  if (length > 0) puts(text);
  else printf("{\"error\":\"%s\"}\n", length == 0 ? "FIN" : error_name(socket < 0 ? -socket : errno));
}

void run_tcp_client(const struct fields *request) {
  static const struct {
    const char *name;
    scenario *run;
  } scenarios[] = {
      {"download", download},
      {"upload", upload},
      {"echo", echo},
      {"many", many},
      {"requests", requests},
      {"short", short_ones},
      {"end-first", end_first},
      {"end-last", end_last},
      {"reset-by-server", reset_by_server},
      {"reset-by-client", reset_by_client},
      {"attempt", attempt},
      {"hold", hold},
      {"slow-download", slow_download},
      {"slow-upload", slow_upload},
      {"slow-server", slow_server},
      {"read", read_only},
      {"until-death", until_death},
      {"who", who},
      {"arrival", arrival},
      {"from-addresses", from_addresses},
  };
  const char *name = text_of(request, "scenario");
  for (size_t index = 0; name != NULL && index < sizeof scenarios / sizeof *scenarios; index++) {
    if (strcmp(scenarios[index].name, name) != 0) continue;
    scenarios[index].run(request);
    exit(0);
  }
  errno = EINVAL;
  fail("scenario");
}
