// The command line.
#include "vhost.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_OFFLOADS                                                                                                  \
  (BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_HOST_USO))
#define GUEST_OFFLOADS                                                                                                 \
  (BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN) |                         \
   BIT(VIRTIO_NET_F_GUEST_USO4) | BIT(VIRTIO_NET_F_GUEST_USO6))

// What a word after "no=" refuses. A feature is refused with those that need it (virtio 1.3, section 5.1.3.1).
static const struct {
  const char *word;
  uint64_t features, protocol;
} refusals[] = {
    {"csum", BIT(VIRTIO_NET_F_CSUM) | HOST_OFFLOADS, 0},
    {"guest-csum", BIT(VIRTIO_NET_F_GUEST_CSUM) | GUEST_OFFLOADS, 0},
    {"tso", BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN), 0},
    {"guest-tso", BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN), 0},
    {"tso4", BIT(VIRTIO_NET_F_HOST_TSO4), 0},
    {"tso6", BIT(VIRTIO_NET_F_HOST_TSO6), 0},
    {"guest-tso4", BIT(VIRTIO_NET_F_GUEST_TSO4), 0},
    {"guest-tso6", BIT(VIRTIO_NET_F_GUEST_TSO6), 0},
    {"ecn", BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_ECN), 0},
    {"uso", BIT(VIRTIO_NET_F_HOST_USO), 0},
    {"guest-uso", BIT(VIRTIO_NET_F_GUEST_USO4) | BIT(VIRTIO_NET_F_GUEST_USO6), 0},
    {"guest-uso4", BIT(VIRTIO_NET_F_GUEST_USO4), 0},
    {"guest-uso6", BIT(VIRTIO_NET_F_GUEST_USO6), 0},
    {"mrg", BIT(VIRTIO_NET_F_MRG_RXBUF), 0},
    {"mtu", BIT(VIRTIO_NET_F_MTU), BIT(4)},
    {"announce", BIT(VIRTIO_NET_F_GUEST_ANNOUNCE), 0},
    {"event", BIT(VIRTIO_RING_F_EVENT_IDX), 0},
    {"indirect", BIT(VIRTIO_RING_F_INDIRECT_DESC), 0},
    {"reply", 0, BIT(3)},
    {"slots", 0, BIT(15)},
    {"protocol", BIT(30), ~0ull},
};

static void refuse(struct options *options, char *words) {
  for (char *word = strtok(words, ","); word != NULL; word = strtok(NULL, ",")) {
    unsigned index = 0;
    while (index < sizeof refusals / sizeof *refusals && strcmp(refusals[index].word, word) != 0) index++;
    if (index == sizeof refusals / sizeof *refusals) {
      fprintf(stderr, "vhost-stand-in: no feature is called \"%s\"\n", word);
      exit(1);
    }
    options->refused |= refusals[index].features;
    options->refusedProtocol |= refusals[index].protocol;
  }
}

static uint64_t number(const char *text, uint64_t least, uint64_t most) {
  char *rest;
  uint64_t value = strtoull(text, &rest, 0);
  if (*rest == 0 && rest != text && value >= least && value <= most) return value;
  fprintf(stderr, "vhost-stand-in: %s is out of range\n", text);
  exit(1);
}

struct options parse_options(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: vhost-stand-in NAME SOCKET|fd:NUMBER [WORD]...\n");
    exit(1);
  }
  struct options options = {
      .tap = argv[1], .socket = argv[2], .entries = 256, .regions = 1, .memory = BIT(28), .parts = 3};
  for (int i = 3; i < argc; i++) {
    char *word = argv[i], *value = strchr(word, '=');
    size_t length = value == NULL ? strlen(word) : (size_t)(value++ - word);
#define IS(name) (length == sizeof name - 1 && memcmp(word, name, length) == 0)
    if (value == NULL) {
      if (IS("high")) options.base = BIT(40);
      else if (IS("verify")) options.verify = 1;
      else if (IS("log")) options.log = 1;
      else number(word, 1, 0);
      continue;
    }
    if (IS("no")) refuse(&options, value);
    else if (IS("ring")) options.entries = (unsigned)number(value, 32, ENTRIES_MAX);
    else if (IS("regions")) options.regions = (unsigned)number(value, 1, REGIONS_MAX);
    else if (IS("memory")) options.memory = number(value, 1, 1024) * BIT(30);
    else if (IS("mtu")) options.mtu = (unsigned)number(value, 68, 65535);
    else if (IS("parts")) options.parts = (unsigned)number(value, 1, 3);
    else number(word, 1, 0);
  }
  return options;
}
