/* The guest of fuzz.c: its memory, in a file, with random content, and a thread that changes it. */
#ifndef DEMIFLOW_HOSTILE_GUEST_H
#define DEMIFLOW_HOSTILE_GUEST_H

#include "../../rings/rings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 64
/* For less than the first region. */
#define LOG_BYTES 1

#define REGIONS 4
extern const struct region_record regions[REGIONS];

/* Places of both rings in the first region. */
extern const uint64_t tables[2];
#define AVAILABLE_AT 0x2000
#define USED_AT 0x4000

struct random {
	uint64_t state;
	/* The larger, the less often anything is wrong. */
	uint64_t rarity;
};

uint64_t next(struct random *random);
uint64_t below(struct random *random, uint64_t limit);
bool one_in(struct random *random, uint64_t count);
/* One in `count` times, or one in 100 times that where little is wrong. */
bool is_wrong(struct random *random, uint64_t count);

/* For reports. */
extern uint64_t seed_now;

#define CHECK(condition)                                                                                         \
	do {                                                                                                     \
		if (!(condition)) {                                                                              \
			fprintf(stderr, "%s:%d: seed %" PRIu64 ": not true: %s\n", __FILE__, __LINE__, seed_now, \
				#condition);                                                                     \
			abort();                                                                                 \
		}                                                                                                \
	} while (0)

/* The file behind guest memory, and that of the log. */
extern int guest_file, log_file;

/* Makes the files, and the thread, which waits. */
void start_guest(void);
/* Ends the thread. */
void stop_guest(void);
/* Lets the thread change memory, or not. */
void let_change(bool is_active);
/* Fills buffers, of which some are tables of descriptors, and what is outside the regions. */
void fill_memory(struct random *random, uint16_t direction);
/* Fills a ring, with an index up to as many further on than `base` as it has entries. */
void fill_ring(struct random *random, uint64_t table, uint32_t entries, uint16_t base, uint16_t direction);
/* Nothing outside the regions, or behind the log, has changed. */
void check_outside(bool was_truncated);
/* Nothing from outside is in a frame. */
void check_frame(const uint8_t *frame, size_t length);

#endif
