#include "traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PLACES 4096

const char *error_name(int error) {
  switch (error) {
    case EACCES: return "EACCES";
    case EADDRINUSE: return "EADDRINUSE";
    case EADDRNOTAVAIL: return "EADDRNOTAVAIL";
    case ECONNABORTED: return "ECONNABORTED";
    case ECONNREFUSED: return "ECONNREFUSED";
    case ECONNRESET: return "ECONNRESET";
    case EHOSTUNREACH: return "EHOSTUNREACH";
    case EMFILE: return "EMFILE";
    case ENETUNREACH: return "ENETUNREACH";
    case EPERM: return "EPERM";
    case EPIPE: return "EPIPE";
    case EPROTO: return "EPROTO";
    case ETIMEDOUT: return "ETIMEDOUT";
    default: return strerror(error);
  }
}

struct endpoint far_end(const struct fields *fields) {
  const char *address = text_of(fields, "address");
  return parse_endpoint(address == NULL ? "" : address, (int)number_of(fields, "port", 0));
}

const char *address_text(const struct endpoint *endpoint) {
  static _Thread_local char text[NI_MAXHOST];
  const struct sockaddr *address = (const struct sockaddr *)&endpoint->address;
  return getnameinfo(address, endpoint->length, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0 ? text : "";
}

/* The port is at the same offset for both versions of IP. */
int port_of(const struct endpoint *endpoint) {
  return ntohs(((const struct sockaddr_in *)&endpoint->address)->sin_port);
}

struct endpoint own_end(int socket) {
  struct endpoint endpoint = {.length = sizeof endpoint.address};
  getsockname(socket, (struct sockaddr *)&endpoint.address, &endpoint.length);
  return endpoint;
}

struct endpoint other_end(int socket) {
  struct endpoint endpoint = {.length = sizeof endpoint.address};
  getpeername(socket, (struct sockaddr *)&endpoint.address, &endpoint.length);
  return endpoint;
}

void bind_to(int socket, const char *address, int port) {
  if (address == NULL) return;
  struct endpoint endpoint = parse_endpoint(address, port);
  if (bind(socket, (struct sockaddr *)&endpoint.address, endpoint.length) < 0) fail(address);
}

void for_each_place(const struct fields *fields, void (*open)(const char *address, int port, int is_dual)) {
  static char *places[MOST_PLACES];
  int count = list_of(fields, "listen", places, MOST_PLACES);
  for (int index = 0; index < count; index++) {
    char *rest = places[index];
    const char *address = strsep(&rest, "/");
    const char *port = rest == NULL ? "0" : strsep(&rest, "/");
    open(address, atoi(port), rest != NULL);
  }
}
