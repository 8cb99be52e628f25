/*
 * The traffic of the bench, both ends of it: `traffic serve ADDRESS…` in the world, the other commands in the guest.
 * Times are in milliseconds. A run has a number, which the world prints with its figures.
 */
#include "traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void serve(int count, char **addresses) {
  for (int index = 0; index < count; index++) {
    serve_streams(addresses[index]);
    serve_exchanges(addresses[index]);
    serve_datagrams(addresses[index]);
    serve_quic(addresses[index]);
  }
  puts("ready");
  for (;;) pause();
}

static const char usage[] = "usage: traffic serve ADDRESS...\n"
                            "       traffic ping ADDRESS\n"
                            "       traffic KIND ADDRESS WARM MEASURED RUN [STREAMS|SIZE|FLOWS [FURTHER]]\n";

int main(int count, char **words) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  raise_open_files();
  const char *kind = count > 2 ? words[1] : "";
  if (strcmp(kind, "serve") == 0) serve(count - 2, words + 2);
  if (strcmp(kind, "ping") == 0) {
    ping(words[2]);
    return 0;
  }
  if (count < 6) {
    fputs(usage, stderr);
    return 2;
  }
  const char *address = words[2];
  struct period period = {strtoull(words[3], NULL, 10) * 1000000, strtoull(words[4], NULL, 10) * 1000000};
  uint32_t run = (uint32_t)strtoul(words[5], NULL, 10);
  int number = count > 6 ? atoi(words[6]) : 1;
  int further = count > 7 ? atoi(words[7]) : 0;
  if (strcmp(kind, "stream-up") == 0) stream_up(address, run, number, period);
  else if (strcmp(kind, "stream-down") == 0) stream_down(address, number, period);
  else if (strcmp(kind, "exchange") == 0) exchange(address, period);
  else if (strcmp(kind, "flooded-exchange") == 0) flooded_exchange(address, period);
  else if (strcmp(kind, "scattered-flood-exchange") == 0) scattered_flood_exchange(address, period);
  else if (strcmp(kind, "inside-flood-exchange") == 0) inside_flood_exchange(address, period);
  else if (strcmp(kind, "busy-exchange") == 0) busy_exchange(address, period);
  else if (strcmp(kind, "connect-exchange") == 0) connect_exchange(address, period);
  else if (strcmp(kind, "datagram-exchange") == 0) datagram_exchange(address, period);
  else if (strcmp(kind, "connections") == 0) flows(address, SOCK_STREAM, number, period);
  else if (strcmp(kind, "datagram-flows") == 0) flows(address, SOCK_DGRAM, number, period);
  else if (strcmp(kind, "new-datagram-flows") == 0) new_flows(address, SOCK_DGRAM, number, further);
  else if (strcmp(kind, "datagrams-up") == 0) datagrams_up(address, run, number, period);
  else if (strcmp(kind, "datagrams-down") == 0) datagrams_down(address, run, number, period);
  else if (strcmp(kind, "quic-up") == 0) quic_up(address, run, number, period);
  else if (strcmp(kind, "quic-down") == 0) quic_down(address, run, number, period);
  else {
    fputs(usage, stderr);
    return 2;
  }
  return 0;
}
