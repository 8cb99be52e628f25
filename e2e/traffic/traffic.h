/*
 * The traffic of the end-to-end tests, both ends of it. A request consists of fields `key=value`: words of the
 * command line, or of the line that begins a connection. Results are printed as lines of JSON.
 */
#ifndef E2E_TRAFFIC_H
#define E2E_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

#include "../../bench/traffic/util.h"

/* fields.c */
struct fields {
  int count;
  char **words;
};

const char *text_of(const struct fields *fields, const char *key);
uint64_t number_of(const struct fields *fields, const char *key, uint64_t otherwise);
/* Splits a comma-separated list into at most a number of items. Returns their number. Changes the text. */
int list_of(const struct fields *fields, const char *key, char **parts, int most);
/* Splits a line whose words are joined by tabs. */
struct fields words_of(char *line, char **words, int most);

/* ends.c */
const char *error_name(int error);
struct endpoint far_end(const struct fields *fields);
/* The address without its port, as text in a buffer of the thread. */
const char *address_text(const struct endpoint *endpoint);
int port_of(const struct endpoint *endpoint);
struct endpoint own_end(int socket);
struct endpoint other_end(int socket);
/* Binds, unless there is no address. Port 0 for any. */
void bind_to(int socket, const char *address, int port);
/* Calls `open` for each place of the field `listen`: address, port, and whether it is for both versions of IP. */
void for_each_place(const struct fields *fields, void (*open)(const char *address, int port, int is_dual));

/* pattern.c */
enum { PATTERN = 1048583 };
/* `length` bytes of a seed's pattern from an offset: at most PATTERN. */
const char *pattern(uint64_t seed, uint64_t offset);
/* Sends the pattern up to a position. Returns an error number, or 0. */
int send_pattern(int socket, uint64_t seed, uint64_t from, uint64_t bytes);

struct reception {
  uint64_t seed;
  uint64_t bytes;
  /* False once received bytes differ from the pattern. */
  int is_intact;
};

/* Compares and counts received bytes. */
void compare(struct reception *reception, const char *bytes, size_t length);
/* Receives up to the end of the connection. Returns an error number, or 0. */
int receive_pattern(int socket, struct reception *reception);
void print_reception(const struct reception *reception, uint64_t expected);

/* Clients: each runs one scenario, prints its result, and ends. */
void run_tcp_client(const struct fields *request) __attribute__((noreturn));
void run_udp_client(const struct fields *request) __attribute__((noreturn));
typedef void scenario(const struct fields *request);
void hold(const struct fields *request);
void slow_download(const struct fields *request);
void slow_upload(const struct fields *request);
void slow_server(const struct fields *request);
/* Connects, from an address of ours if there is one, and sends the line; exits if that fails. */
int open_stream(const struct fields *request, const char *from, const char *line);
/* The same, but returns a negated error number if that fails. */
int try_stream(const struct fields *request, const char *from, const char *line);
/* Reads an answer of known bytes: true if they arrived. */
int is_answered(int socket, const char *answer);
/* The server's last message on a connection. */
const char *read_answer(int socket, char *text, size_t room);

/* Servers: each runs until it is stopped. */
void run_tcp_server(const struct fields *request) __attribute__((noreturn));
void run_udp_server(const struct fields *request) __attribute__((noreturn));

#endif
