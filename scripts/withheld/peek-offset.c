/*
 * Preloaded into a program: setsockopt refuses SO_PEEK_OFF for TCP sockets, like kernels that lack it. WITHHELD names
 * the IP versions, "4", "6" or "46".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int option(int descriptor, int name) {
  int value = -1;
  socklen_t length = sizeof(value);
  return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : -1;
}

static int is_withheld(int descriptor) {
  const char *versions = getenv("WITHHELD");
  int domain = option(descriptor, SO_DOMAIN);
  if (versions == NULL || option(descriptor, SO_PROTOCOL) != IPPROTO_TCP) return 0;
  return (domain == AF_INET && strchr(versions, '4') != NULL) || (domain == AF_INET6 && strchr(versions, '6') != NULL);
}

int setsockopt(int descriptor, int level, int name, const void *value, socklen_t length) {
  if (level == SOL_SOCKET && name == SO_PEEK_OFF && is_withheld(descriptor)) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return (int)syscall(SYS_setsockopt, descriptor, level, name, value, length);
}
