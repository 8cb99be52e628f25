/* Requests and responses on one connection, beside SYNs to addresses that don't answer, or beside a spinning thread. */
#include "traffic.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

enum { SYNS = 100000, A_MILLISECOND = 20, MILLISECOND = 1000000 };
/* About the processor time that 20 SYNs cost their sender. */
enum { BUSY_PART = 400000 };

/* TEST-NET-3: the world doesn't forward, and silently drops packets to addresses that aren't its own. */
static const char nowhere[] = "203.0.113.1";
/* The same network, of which the bench routes one address to a device inside the guest (topology.mjs). */
static const char inside[] = "203.0.113.2";
/* 198.18.0.0/15, for benchmarks (RFC 2544). */
enum { MANY = 0xc6120000, MANY_BITS = 17 };
/* 2^32 divided by the golden ratio. */
static const uint32_t SPREAD = 0x9e3779b1;

/* Without an address, each SYN goes to another one. */
static struct endpoint flooded_endpoint(const char *address, uint32_t sent) {
  struct endpoint endpoint = parse_endpoint(address ? address : nowhere, 1 + sent % 60000);
  struct in_addr *scattered = &((struct sockaddr_in *)&endpoint.address)->sin_addr;
  if (!address) scattered->s_addr = htonl(MANY + (sent * SPREAD >> (32 - MANY_BITS)));
  return endpoint;
}

static void *flood(void *address) {
  uint64_t begin = nanoseconds();
  for (uint32_t sent = 0; sent < SYNS; sent++) {
    uint64_t due = begin + (uint64_t)(sent / A_MILLISECOND) * MILLISECOND;
    while (nanoseconds() < due) usleep(200);
    struct endpoint endpoint = flooded_endpoint(address, sent);
    int descriptor = socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (descriptor < 0) fail("socket");
    connect(descriptor, (const struct sockaddr *)&endpoint.address, endpoint.length);
    /* Closing the socket sends nothing, because it was never connected. */
    close(descriptor);
  }
  return NULL;
}

void flooded_exchange(const char *address, struct period period) {
  period.measured = (uint64_t)SYNS / A_MILLISECOND * MILLISECOND;
  start_thread(flood, (void *)nowhere);
  exchange(address, period);
}

void scattered_flood_exchange(const char *address, struct period period) {
  start_thread(flood, NULL);
  exchange(address, period);
}

void inside_flood_exchange(const char *address, struct period period) {
  start_thread(flood, (void *)inside);
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
