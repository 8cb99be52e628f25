/* See hostile-guest.h. */
#include "hostile-guest.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

/* What lies between regions, over and over: 8 bytes that random content doesn't have. */
#define OUTSIDE UINT64_C(0x6f75747369646521)

/* The second follows the first in the guest, the last ends at the last address. Some don't begin at a page. */
const struct region_record regions[REGIONS] = {
	{ .address = 0, .user = UINT64_C(0x7f0000000000), .bytes = 16 * PAGE, .offset = 2 * PAGE },
	{ .address = 16 * PAGE, .user = UINT64_C(0x7e0000000000), .bytes = 8 * PAGE + 24, .offset = 20 * PAGE + 560 },
	{ .address = UINT64_C(0x100000000), .user = 16 * PAGE, .bytes = 12 * PAGE - 8, .offset = 40 * PAGE + 8 },
	{ .address = 0 - UINT64_C(16384), .user = 0, .bytes = 16384, .offset = 58 * PAGE },
};

const uint64_t tables[2] = { 0, 0x8000 };

uint64_t seed_now;
int guest_file, log_file;

/* splitmix64 */
uint64_t next(struct random *random)
{
	uint64_t value = random->state += UINT64_C(0x9e3779b97f4a7c15);

	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

uint64_t below(struct random *random, uint64_t limit)
{
	return next(random) % limit;
}

bool one_in(struct random *random, uint64_t count)
{
	return below(random, count) == 0;
}

bool is_wrong(struct random *random, uint64_t count)
{
	return one_in(random, count * random->rarity);
}

static void store(uint64_t offset, const void *bytes, size_t length)
{
	CHECK(pwrite(guest_file, bytes, length, (off_t)offset) == (ssize_t)length);
}

static uint64_t any_address(struct random *random)
{
	const struct region_record *region = &regions[below(random, REGIONS)];

	switch (below(random, 16 * random->rarity)) {
	case 0:
		return next(random);
	case 1:
		return region->address + region->bytes - below(random, 40);
	case 2:
		return region->address - below(random, 40);
	default:
		return region->address + below(random, random->rarity > 1 ? region->bytes / 2 : region->bytes);
	}
}

struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

/* `direction` is a flag of buffers. A descriptor in a table of descriptors shouldn't name another one. */
static struct descriptor any_descriptor(struct random *random, uint32_t entries, uint16_t direction, bool may_be_table)
{
	struct descriptor made = {
		.address = any_address(random),
		.length = (uint32_t)below(random, one_in(random, 4) ? 8000 : 200),
		.flags = direction,
		.next = (uint16_t)below(random, entries),
	};

	if (one_in(random, 4))
		made.flags |= 1;
	if (may_be_table ? one_in(random, 8) : is_wrong(random, 8)) {
		made.flags = is_wrong(random, 4) ? made.flags | 4 : 4;
		made.length = (made.length & 0xf0) + 16;
	}
	if (is_wrong(random, 64))
		made.flags = (uint16_t)next(random);
	if (is_wrong(random, 64))
		made.length = (uint32_t)next(random);
	if (is_wrong(random, 64))
		made.next = (uint16_t)next(random);
	return made;
}

static void fill_regions(struct random *random, uint16_t direction)
{
	struct descriptor content[PAGE / sizeof(struct descriptor)];

	for (size_t region = 0; region < REGIONS; region++) {
		for (size_t i = 0; i < PAGE / sizeof(content[0]); i++)
			content[i] = any_descriptor(random, 16, direction, false);
		for (uint64_t at = 0; at + PAGE <= regions[region].bytes; at += PAGE)
			store(regions[region].offset + at, content, sizeof(content));
	}
}

void fill_ring(struct random *random, uint64_t table, uint32_t entries, uint16_t base, uint16_t direction)
{
	static struct descriptor descriptors[256];
	uint16_t available[2 + 256 + 1];

	for (uint32_t i = 0; i < entries; i++)
		descriptors[i] = any_descriptor(random, entries, direction, true);
	store(regions[0].offset + table, descriptors, entries * sizeof(descriptors[0]));
	available[0] = (uint16_t)below(random, 2);
	available[1] = (uint16_t)(is_wrong(random, 32) ? next(random) : base + below(random, entries + 1));
	for (uint32_t i = 0; i < entries + 1; i++)
		available[2 + i] = (uint16_t)(is_wrong(random, 200) ? next(random) : below(random, entries));
	store(regions[0].offset + table + AVAILABLE_AT, available, 2 * (3 + (size_t)entries));
}

/* The thread that changes memory while calls run. */
static struct {
	pthread_t thread;
	bool is_active, is_over;
} other_side;

static void *change(void *unused)
{
	struct random random = { .state = 1, .rarity = 1 };

	(void)unused;
	while (!__atomic_load_n(&other_side.is_over, __ATOMIC_RELAXED)) {
		const struct region_record *region = &regions[one_in(&random, 4) ? below(&random, REGIONS) : 0];
		uint64_t at = below(&random, region->bytes - 16), value = next(&random);
		struct descriptor descriptor = any_descriptor(&random, 64, one_in(&random, 2) ? 2 : 0, true);

		if (!__atomic_load_n(&other_side.is_active, __ATOMIC_RELAXED)) {
			usleep(100);
			continue;
		}
		switch (below(&random, 64)) {
		case 0:
			store(region->offset + at, &value, 1 + below(&random, 8));
			break;
		case 1:
			store(regions[0].offset + tables[below(&random, 2)] + AVAILABLE_AT + 2, &value, 2);
			break;
		case 2 ... 31:
			store(regions[0].offset + tables[below(&random, 2)] + 16 * below(&random, 64), &descriptor, 16);
			break;
		default:
			store(region->offset + (at & ~UINT64_C(15)), &descriptor, 16);
		}
	}
	return NULL;
}

#define WORDS (PAGES * PAGE / 8)

/* The file's content by words, and which of them are outside the regions: all offsets are multiples of 8. */
static uint64_t words[WORDS];
static bool is_outside[WORDS];

static void find_outside(void)
{
	memset(is_outside, true, sizeof(is_outside));
	for (size_t i = 0; i < REGIONS; i++)
		memset(is_outside + regions[i].offset / 8, false, regions[i].bytes / 8);
}

static void fill_outside(void)
{
	CHECK(pread(guest_file, words, sizeof(words), 0) == sizeof(words));
	for (size_t i = 0; i < WORDS; i++)
		words[i] = is_outside[i] ? OUTSIDE : words[i];
	store(0, words, sizeof(words));
}

void check_outside(bool was_truncated)
{
	static uint8_t log[PAGE];

	CHECK(ftruncate(guest_file, PAGES * PAGE) == 0);
	CHECK(pread(guest_file, words, sizeof(words), 0) == sizeof(words));
	for (size_t i = 0; i < WORDS; i++)
		CHECK(!is_outside[i] || words[i] == OUTSIDE || (was_truncated && words[i] == 0));
	CHECK(pread(log_file, log, sizeof(log), 0) == sizeof(log));
	for (size_t i = LOG_BYTES; i < sizeof(log); i++)
		CHECK(log[i] == 0);
}

void check_frame(const uint8_t *frame, size_t length)
{
	const uint64_t outside = OUTSIDE;

	CHECK(!memmem(frame, length, &outside, sizeof(outside)));
}

void fill_memory(struct random *random, uint16_t direction)
{
	/* The other thread may write beyond a file's end, which makes it longer. */
	CHECK(ftruncate(guest_file, 0) == 0 && ftruncate(guest_file, PAGES * PAGE) == 0);
	fill_regions(random, direction);
	fill_outside();
}

void start_guest(void)
{
	guest_file = memfd_create("guest", 0);
	log_file = memfd_create("log", 0);
	CHECK(guest_file >= 0 && log_file >= 0 && ftruncate(log_file, PAGE) == 0);
	find_outside();
	CHECK(pthread_create(&other_side.thread, NULL, change, NULL) == 0);
}

void stop_guest(void)
{
	__atomic_store_n(&other_side.is_over, true, __ATOMIC_RELAXED);
	pthread_join(other_side.thread, NULL);
}

void let_change(bool is_active)
{
	__atomic_store_n(&other_side.is_active, is_active, __ATOMIC_RELAXED);
}
