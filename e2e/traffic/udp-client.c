/* UDP clients, one for each scenario. Requests for lost datagrams are repeated, a few times. */
#include "traffic.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGEST = 65536, MOST_ENDS = 1024, LINE = 512, ATTEMPTS = 4 };
/* Milliseconds until a datagram is first retransmitted; until it counts as lost; until a burst counts as over. */
enum { AGAIN_AFTER = 200 * SLOWNESS, LOST_AFTER = 1000 * SLOWNESS, BURST_OVER_AFTER = 5000 * SLOWNESS };

static struct endpoint server;
static char message[LARGEST];

static int open_datagrams(const char *from) {
  int descriptor = socket(server.address.ss_family, SOCK_DGRAM, 0);
  if (descriptor < 0) fail("socket");
  enlarge_buffers(descriptor);
  bind_to(descriptor, from, 0);
  return descriptor;
}

static ssize_t send_to(int socket, const char *bytes, size_t length) {
  return sendto(socket, bytes, length, 0, (struct sockaddr *)&server.address, server.length);
}

/* A question, and the expected answer: any if there is none. */
struct exchange {
  int socket;
  const char *question, *answer;
  size_t question_length, answer_length;
  int is_answered;
};

static int is_wanted(const struct exchange *exchange, size_t length) {
  if (exchange->answer == NULL) return 1;
  return length == exchange->answer_length && memcmp(message, exchange->answer, length) == 0;
}

/* Reads all received datagrams; the last message stays. */
static void receive_all(struct exchange *exchange) {
  ssize_t length;
  while (!exchange->is_answered && (length = recv(exchange->socket, message, sizeof message - 1, MSG_DONTWAIT)) >= 0) {
    message[length] = '\0';
    exchange->is_answered = is_wanted(exchange, (size_t)length);
  }
}

/* Waits longer each time, for machines with other work. */
static int patience(int attempt, int attempts) {
  int longer = AGAIN_AFTER << attempt;
  return attempt == attempts - 1 || longer > LOST_AFTER ? LOST_AFTER : longer;
}

/* Sends all questions at once, and repeats unanswered ones a number of times. Returns the number of answers. */
static int ask_all(struct exchange *all, int count, int attempts) {
  struct pollfd *states = calloc((size_t)count, sizeof *states);
  int answered = 0;
  for (int attempt = 0; attempt < attempts && answered < count; attempt++) {
    for (int index = 0; index < count; index++) {
      states[index] = (struct pollfd){.fd = all[index].is_answered ? -1 : all[index].socket, .events = POLLIN};
      if (!all[index].is_answered) send_to(all[index].socket, all[index].question, all[index].question_length);
    }
    uint64_t until = nanoseconds() + (uint64_t)patience(attempt, attempts) * 1000000, now;
    while (answered < count && (now = nanoseconds()) < until) {
      poll(states, (nfds_t)count, (int)((until - now) / 1000000) + 1);
      for (int index = 0; index < count; index++) {
        if (states[index].fd < 0 || !states[index].revents) continue;
        receive_all(&all[index]);
        if (!all[index].is_answered) continue;
        states[index].fd = -1;
        answered++;
      }
    }
  }
  free(states);
  return answered;
}

static int attempts_of(const struct fields *request) { return (int)number_of(request, "attempts", ATTEMPTS); }

/* Requests datagrams of the sizes of a list, from one socket; prints those that arrived intact. */
static void ask_for_sizes(const struct fields *request, int is_echo) {
  char *sizes[MOST_ENDS], question[LINE];
  int count = list_of(request, "sizes", sizes, MOST_ENDS), socket = open_datagrams(NULL), intact = 0;
  fputs("{\"intact\":[", stdout);
  for (int index = 0; index < count; index++) {
    size_t size = strtoul(sizes[index], NULL, 10);
    snprintf(question, sizeof question, "do:size\tbytes=%zu\tseed=5", size);
    const char *bytes = pattern(is_echo ? size : 5, 0);
    struct exchange exchange = {.socket = socket, .question = is_echo ? bytes : question, .answer = bytes};
    exchange.question_length = is_echo ? size : strlen(question);
    exchange.answer_length = size;
    if (ask_all(&exchange, 1, attempts_of(request)) == 1) printf("%s%zu", intact++ == 0 ? "" : ",", size);
  }
  puts("]}");
}

/* Datagrams of these sizes are returned unchanged. */
static void sizes(const struct fields *request) { ask_for_sizes(request, 1); }

/* Datagrams of these sizes on request: only the answer is large. */
static void answers(const struct fields *request) { ask_for_sizes(request, 0); }

/* Everything that arrives up to the answer of the intended server. */
static void strangers(const struct fields *request) {
  (void)request;
  static const char question[] = "do:intrude";
  int socket = open_datagrams(NULL), count = 0, is_over = 0;
  send_to(socket, question, strlen(question));
  fputs("{\"got\":[", stdout);
  struct pollfd state = {.fd = socket, .events = POLLIN};
  while (!is_over && poll(&state, 1, LOST_AFTER) > 0) {
    ssize_t length = recv(socket, message, sizeof message - 1, 0);
    if (length < 0) continue;
    message[length] = '\0';
    printf("%s\"%s\"", count++ == 0 ? "" : ",", message);
    is_over = strcmp(message, "from the one that was asked") == 0;
  }
  puts("]}");
}

/* Opens a connected socket. Returns an error number if the host refuses at once. */
static int connect_datagrams(int socket) {
  return connect(socket, (struct sockaddr *)&server.address, server.length) < 0 ? errno : 0;
}

/*
 * Sends on a connected socket; the answer is in `message`. Returns 0, a negated error number, or a positive ETIMEDOUT.
 */
static int ask_connected(int socket, const char *question, int patience) {
  if (send(socket, question, strlen(question), 0) < 0) return -errno;
  struct pollfd state = {.fd = socket, .events = POLLIN};
  if (poll(&state, 1, patience) == 0) return ETIMEDOUT;
  ssize_t length = recv(socket, message, sizeof message - 1, 0);
  if (length < 0) return -errno;
  message[length] = '\0';
  return 0;
}

/* Repeats the question until a reply arrives: errors get lost like answers, and are not retransmitted. */
static int ask_repeatedly(int socket, const char *question) {
  int result = ETIMEDOUT;
  for (int attempt = 0; attempt < ATTEMPTS && result > 0; attempt++) {
    result = ask_connected(socket, question, patience(attempt, ATTEMPTS));
  }
  return result;
}

/* Prints the returned error. */
static void error(const struct fields *request) {
  (void)request;
  int socket = open_datagrams(NULL), failure = connect_datagrams(socket);
  if (failure == 0) failure = -ask_repeatedly(socket, "anybody?");
  printf("{\"code\":\"%s\"}\n", failure > 0 ? error_name(failure) : "none");
}

static void print_answered(int answered) { printf("{\"answered\":%d}\n", answered); }

/* One exchange from each of several sockets that are open at the same time. */
static void ask_from(char **from, int count, const char *what, int attempts) {
  struct exchange *all = calloc((size_t)count, sizeof *all);
  for (int index = 0; index < count; index++) {
    char *question = malloc(LINE);
    int length = from == NULL ? snprintf(question, LINE, "%s %d", what, index) : snprintf(question, LINE, "%s %s", what, from[index]);
    all[index] = (struct exchange){.socket = open_datagrams(from == NULL ? NULL : from[index]), .question = question};
    all[index].answer = question;
    all[index].question_length = all[index].answer_length = (size_t)length;
  }
  print_answered(ask_all(all, count, attempts));
}

static void from_addresses(const struct fields *request) {
  char *from[MOST_ENDS];
  int count = list_of(request, "from", from, MOST_ENDS);
  ask_from(from, count, "from", ATTEMPTS);
}

static void many(const struct fields *request) {
  ask_from(NULL, (int)number_of(request, "sockets", 1), "socket", 6);
}

/* Sends datagrams in succession from one socket; prints how many return, and whether in order. */
static void burst(const struct fields *request) {
  uint32_t count = (uint32_t)number_of(request, "count", 1);
  size_t size = (size_t)number_of(request, "size", 1000);
  int socket = open_datagrams(NULL), in_order = 1, answered = 0;
  char *seen = calloc(count, 1);
  for (uint32_t number = 0; number < count; number++) {
    memset(message, 0, size);
    memcpy(message, &number, sizeof number);
    send_to(socket, message, size);
  }
  struct pollfd state = {.fd = socket, .events = POLLIN};
  uint64_t until = nanoseconds() + (uint64_t)BURST_OVER_AFTER * 1000000;
  for (int64_t last = -1; answered < (int)count && nanoseconds() < until;) {
    uint32_t number;
    if (poll(&state, 1, LOST_AFTER) <= 0 || recv(socket, message, sizeof message, 0) < (ssize_t)sizeof number) continue;
    memcpy(&number, message, sizeof number);
    if (number >= count) continue;
    if (number <= last) in_order = 0;
    last = number;
    answered += !seen[number];
    seen[number] = 1;
  }
  printf("{\"answered\":%d,\"inOrder\":%s}\n", answered, in_order ? "true" : "false");
}

/* Our end as the server sees it. */
static void who(const struct fields *request) {
  struct exchange exchange = {.socket = open_datagrams(text_of(request, "from")), .question = "do:who"};
  exchange.question_length = strlen(exchange.question);
  puts(ask_all(&exchange, 1, ATTEMPTS) == 1 ? message : "{}");
}

/* Our address as the server sees it and the server's port, or the error that is returned. */
static void arrival(const struct fields *request) {
  int socket = open_datagrams(text_of(request, "from")), result = -connect_datagrams(socket);
  if (result == 0) result = ask_repeatedly(socket, "do:arrival");
  if (result == 0) puts(message);
  else printf("{\"error\":\"%s\"}\n", result > 0 ? "no answer" : error_name(-result));
}

void run_udp_client(const struct fields *request) {
  static const struct {
    const char *name;
    scenario *run;
  } scenarios[] = {
      {"sizes", sizes},
      {"answers", answers},
      {"strangers", strangers},
      {"error", error},
      {"from-addresses", from_addresses},
      {"burst", burst},
      {"many", many},
      {"who", who},
      {"arrival", arrival},
  };
  const char *name = text_of(request, "scenario");
  server = far_end(request);
  for (size_t index = 0; name != NULL && index < sizeof scenarios / sizeof *scenarios; index++) {
    if (strcmp(scenarios[index].name, name) != 0) continue;
    scenarios[index].run(request);
    exit(0);
  }
  errno = EINVAL;
  fail("scenario");
}
