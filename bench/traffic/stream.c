/* TCP in one direction. The receiving end measures. */
#include "traffic.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { UP = 1, DOWN = 2, BLOCK = 128 << 10, TIME_LIMIT = 10, GIVE_UP = 10000 };

/* The guest's first message on a connection, in network byte order. */
struct request {
  uint32_t direction, run, warm_milliseconds, measured_milliseconds;
};

struct task {
  int socket;
  struct period period;
  struct counter counter;
};

static uint32_t milliseconds(uint64_t time) { return htonl((uint32_t)(time / 1000000)); }

static void send_forever(int socket) {
  static const char block[BLOCK];
  while (send(socket, block, sizeof block, MSG_NOSIGNAL) > 0) continue;
}

/* Receives until the period is over, or the connection ends. */
static void receive(int socket, const struct period *period, struct counter *counter) {
  char *block = malloc(BLOCK);
  uint64_t until = nanoseconds() + period->warm + period->measured + (uint64_t)GIVE_UP * 1000000;
  set_time_limit(socket, TIME_LIMIT);
  for (;;) {
    ssize_t length = recv(socket, block, BLOCK, 0);
    if (length == 0 || count(counter, period, length > 0 ? (size_t)length : 0) || nanoseconds() > until) break;
  }
  free(block);
}

static void *serve_one(void *argument) {
  int socket = (int)(intptr_t)argument;
  struct request request;
  if (recv(socket, &request, sizeof request, MSG_WAITALL) == sizeof request) {
    struct period period = {.warm = (uint64_t)ntohl(request.warm_milliseconds) * 1000000,
                            .measured = (uint64_t)ntohl(request.measured_milliseconds) * 1000000};
    if (ntohl(request.direction) == DOWN) {
      send_forever(socket);
    } else {
      struct counter counter = {0};
      receive(socket, &period, &counter);
      print_count(&counter, ntohl(request.run));
    }
  }
  reset_on_close(socket);
  close(socket);
  return NULL;
}

static void *accept_all(void *argument) {
  int listener = (int)(intptr_t)argument;
  for (;;) {
    int socket = accept(listener, NULL, NULL);
    if (socket >= 0) start_thread(serve_one, (void *)(intptr_t)socket);
  }
  return NULL;
}

void serve_streams(const char *address) {
  struct endpoint endpoint = parse_endpoint(address, STREAM_PORT);
  start_thread(accept_all, (void *)(intptr_t)open_listener(&endpoint, SOCK_STREAM));
}

static int begin(const char *address, struct request request, struct period period) {
  struct endpoint endpoint = parse_endpoint(address, STREAM_PORT);
  int socket = connect_patiently(&endpoint, SOCK_STREAM);
  reset_on_close(socket);
  request.warm_milliseconds = milliseconds(period.warm);
  request.measured_milliseconds = milliseconds(period.measured);
  if (send(socket, &request, sizeof request, MSG_NOSIGNAL) != sizeof request) fail("send");
  return socket;
}

static void *run_up(void *argument) {
  send_forever(((struct task *)argument)->socket);
  return NULL;
}

static void *run_down(void *argument) {
  struct task *task = argument;
  receive(task->socket, &task->period, &task->counter);
  return NULL;
}

static struct task *run_all(void *(*run)(void *), const char *address, int streams, struct request request,
                            struct period period) {
  struct task *tasks = calloc((size_t)streams, sizeof *tasks);
  pthread_t *threads = calloc((size_t)streams, sizeof *threads);
  for (int index = 0; index < streams; index++)
    tasks[index] = (struct task){.socket = begin(address, request, period), .period = period};
  for (int index = 0; index < streams; index++) pthread_create(&threads[index], NULL, run, &tasks[index]);
  for (int index = 0; index < streams; index++) pthread_join(threads[index], NULL);
  free(threads);
  return tasks;
}

/* Sends until it is stopped: the world reports the bytes that arrived. */
void stream_up(const char *address, uint32_t run, int streams, struct period period) {
  free(run_all(run_up, address, streams, (struct request){.direction = htonl(UP), .run = htonl(run)}, period));
}

void stream_down(const char *address, int streams, struct period period) {
  struct task *tasks = run_all(run_down, address, streams, (struct request){.direction = htonl(DOWN)}, period);
  for (int index = 0; index < streams; index++) print_count(&tasks[index].counter, 0);
  free(tasks);
}
