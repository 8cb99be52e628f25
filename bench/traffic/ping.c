/* Echo requests, one a millisecond, until the first answer; prints when it came. */
#include "traffic.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const uint64_t GIVE_UP = 10000000000;

/* Internet checksum, RFC 1071. */
static uint16_t checksum(const void *data, size_t length) {
  const uint16_t *words = data;
  uint32_t sum = 0;
  for (size_t index = 0; index < length / 2; index++) sum += words[index];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static int is_answer(const char *packet, ssize_t length, uint16_t identifier) {
  const struct ip *ip = (const struct ip *)packet;
  if (length < (ssize_t)sizeof *ip || length < ip->ip_hl * 4 + (ssize_t)sizeof(struct icmphdr)) return 0;
  const struct icmphdr *header = (const struct icmphdr *)(packet + ip->ip_hl * 4);
  return header->type == ICMP_ECHOREPLY && header->un.echo.id == identifier;
}

void ping(const char *address) {
  struct endpoint endpoint = parse_endpoint(address, 0);
  int descriptor = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  if (descriptor < 0) fail("raw socket");
  set_time_limit(descriptor, 1);
  struct icmphdr request = {.type = ICMP_ECHO, .un.echo.id = (uint16_t)getpid()};
  for (uint64_t until = nanoseconds() + GIVE_UP; nanoseconds() < until;) {
    request.un.echo.sequence++;
    request.checksum = 0;
    request.checksum = checksum(&request, sizeof request);
    if (sendto(descriptor, &request, sizeof request, 0, (struct sockaddr *)&endpoint.address, endpoint.length) < 0)
      usleep(1000);
    char packet[256];
    ssize_t length = recv(descriptor, packet, sizeof packet, 0);
    if (!is_answer(packet, length, request.un.echo.id)) continue;
    printf("{\"nanoseconds\":%llu}\n", (unsigned long long)nanoseconds());
    return;
  }
  errno = ETIMEDOUT;
  fail("ping");
}
