/* Declarations that the parts of the traffic generator share. One file has both ends of a kind of traffic. */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include "util.h"

enum {
  STREAM_PORT = 7001,
  DATAGRAM_EXCHANGE_PORT = 7002,
  DATAGRAM_PORT = 7003,
  QUIC_PORT = 7004,
  /* Several ports, so that thousands of connections a second don't run out of port pairs in TIME-WAIT. */
  EXCHANGE_PORT = 7100,
  EXCHANGE_PORTS = 32,
};

/* The ends in the world: each starts its threads and returns. */
void serve_streams(const char *address);
void serve_exchanges(const char *address);
void serve_datagrams(const char *address);
void serve_quic(const char *address);

/* The guest's ends: each prints a line of JSON. */
void stream_up(const char *address, uint32_t run, int streams, struct period period);
void stream_down(const char *address, int streams, struct period period);
void exchange(const char *address, struct period period);
void flooded_exchange(const char *address, struct period period);
void scattered_flood_exchange(const char *address, struct period period);
void inside_flood_exchange(const char *address, struct period period);
void busy_exchange(const char *address, struct period period);
void connect_exchange(const char *address, struct period period);
void datagram_exchange(const char *address, struct period period);
void exchange_on(int socket, struct period period);
void flows(const char *address, int type, int count, struct period period);
void new_flows(const char *address, int type, int first, int further);
void datagrams_up(const char *address, uint32_t run, int size, struct period period);
void datagrams_down(const char *address, uint32_t run, int size, struct period period);
void quic_up(const char *address, uint32_t run, int flows, struct period period);
void quic_down(const char *address, uint32_t run, int flows, struct period period);
void ping(const char *address);

#endif
