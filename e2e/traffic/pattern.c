/*
 * Bytes that both ends can generate: a repeated block of random bytes whose length is a prime, so that lost, doubled or
 * displaced data is detected. A seed is the start within the block. `programs/pattern.mjs` generates the same bytes.
 */
#include "traffic.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRIDE = 4099, PIECE = 256 << 10 };

/* The block twice, so that a piece may begin anywhere. */
static union {
  uint32_t words[(2 * PATTERN + 3) / 4];
  char bytes[2 * PATTERN];
} block;

static void make(void) {
  uint32_t state = 1;
  for (int index = 0; index <= PATTERN / 4; index++) { /* xorshift32 (Marsaglia) */
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    block.words[index] = state;
  }
  memcpy(block.bytes + PATTERN, block.bytes, PATTERN);
}

const char *pattern(uint64_t seed, uint64_t offset) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make);
  return block.bytes + (seed * STRIDE + offset) % PATTERN;
}

int send_pattern(int socket, uint64_t seed, uint64_t from, uint64_t bytes) {
  for (uint64_t offset = from; offset < bytes;) {
    size_t most = bytes - offset < PIECE ? (size_t)(bytes - offset) : PIECE;
    ssize_t length = send(socket, pattern(seed, offset), most, MSG_NOSIGNAL);
    if (length < 0) return errno;
    offset += (size_t)length;
  }
  return 0;
}

void compare(struct reception *reception, const char *bytes, size_t length) {
  if (memcmp(bytes, pattern(reception->seed, reception->bytes), length) != 0) reception->is_intact = 0;
  reception->bytes += length;
}

int receive_pattern(int socket, struct reception *reception) {
  char *buffer = malloc(PIECE);
  ssize_t length;
  while ((length = recv(socket, buffer, PIECE, 0)) > 0) compare(reception, buffer, (size_t)length);
  int error = length < 0 ? errno : 0;
  free(buffer);
  return error;
}

void print_reception(const struct reception *reception, uint64_t expected) {
  int is_intact = reception->is_intact && reception->bytes == expected;
  printf("{\"bytes\":%llu,\"intact\":%s}\n", (unsigned long long)reception->bytes, is_intact ? "true" : "false");
}
