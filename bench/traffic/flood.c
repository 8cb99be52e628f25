/* Requests and responses on one connection, while SYNs go to where nobody answers, or somebody only takes processor time. */
#include "traffic.h"

#include <fcntl.h>
#include <unistd.h>

enum { SYNS = 100000, A_MILLISECOND = 20, MILLISECOND = 1000000 };
/* About what 20 SYNs take who sends them. */
enum { BUSY_PART = 400000 };

/* TEST-NET-3: the world doesn't forward, and drops in silence what isn't for its own addresses. */
static const char nowhere[] = "203.0.113.1";

static void *flood(void *argument) {
  (void)argument;
  uint64_t begin = nanoseconds();
  for (int sent = 0; sent < SYNS; sent++) {
    uint64_t due = begin + (uint64_t)(sent / A_MILLISECOND) * MILLISECOND;
    while (nanoseconds() < due) usleep(200);
    struct endpoint endpoint = parse_endpoint(nowhere, 1 + sent % 60000);
    int descriptor = socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (descriptor < 0) fail("socket");
    connect(descriptor, (const struct sockaddr *)&endpoint.address, endpoint.length);
    /* Its end sends nothing: it was never connected. */
    close(descriptor);
  }
  return NULL;
}

void flooded_exchange(const char *address, struct period period) {
  period.measured = (uint64_t)SYNS / A_MILLISECOND * MILLISECOND;
  start_thread(flood, NULL);
  exchange(address, period);
}

static void *spin(void *argument) {
  (void)argument;
  for (uint64_t begin = nanoseconds();; begin += MILLISECOND) {
    while (nanoseconds() < begin) usleep(200);
    while (nanoseconds() < begin + BUSY_PART) continue;
  }
  return NULL;
}

void busy_exchange(const char *address, struct period period) {
  start_thread(spin, NULL);
  exchange(address, period);
}
