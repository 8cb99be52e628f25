#include "traffic.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  void (*run)(const struct fields *request);
} programs[] = {
    {"tcp-client", run_tcp_client},
    {"tcp-server", run_tcp_server},
    {"udp-client", run_udp_client},
    {"udp-server", run_udp_server},
};

int main(int count, char **words) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGPIPE, SIG_IGN);
  raise_open_files();
  struct fields request = {.count = count - 2, .words = words + 2};
  for (size_t index = 0; count > 1 && index < sizeof programs / sizeof *programs; index++)
    if (strcmp(words[1], programs[index].name) == 0) programs[index].run(&request);
  fputs("usage: traffic tcp-client|tcp-server|udp-client|udp-server KEY=VALUE...\n", stderr);
  return 2;
}
