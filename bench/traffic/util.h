/* Functions that the traffic programs of the bench and of the end-to-end tests share: util.c. */
#ifndef UTIL_H
#define UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* The measured period begins `warm` nanoseconds after the first byte and lasts `measured` nanoseconds. */
struct period {
  uint64_t warm;
  uint64_t measured;
};

/* Counts arrivals; the rate is that of the bytes inside the period. */
struct counter {
  uint64_t first, begin, end;
  uint64_t total, counted;
};

struct endpoint {
  struct sockaddr_storage address;
  socklen_t length;
};

uint64_t nanoseconds(void);
void fail(const char *what) __attribute__((noreturn));
struct endpoint parse_endpoint(const char *address, int port);
int open_listener(const struct endpoint *endpoint, int type);
int connect_patiently(const struct endpoint *endpoint, int type);
void set_time_limit(int socket, int milliseconds);
void reset_on_close(int socket);
void send_at_once(int socket);
void enlarge_buffers(int socket);
void raise_open_files(void);
void start_thread(void *(*run)(void *), void *argument);
int count(struct counter *counter, const struct period *period, size_t bytes);
void print_count(const struct counter *counter, uint32_t run);

#endif
