/*
 * A hostile guest: rings and buffers of random content, which a second thread goes on to change, and calls in random
 * order. Run under sanitizers, which check each access to our memory. Checked here: what calls return, that nothing
 * outside the regions is read or written, and that each call ends.
 *
 *	fuzz SEEDS SECONDS [SEED]
 *
 * First come the seeds of a file, one a line, in which all kinds of faults have to occur. Then come others, from SEED on,
 * until the time is over. A round of a seed that is a multiple of 3 has the second thread, so it isn't repeatable.
 */
#include "hostile-guest.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define CALL_SECONDS 10

static uint64_t faults_seen[RING_FAULT_MEMORY + 1];
static uint64_t frames_taken, frames_given, frames_skipped;

static void note_fault(struct ring *ring, int32_t result)
{
	const enum ring_fault fault = ring_fault(ring);

	CHECK(fault <= RING_FAULT_MEMORY);
	faults_seen[fault]++;
	if (result < 0) {
		CHECK(result == -EFAULT || result == -EPROTO);
		CHECK(fault != RING_FAULT_NONE);
		CHECK(ring_has(ring) == result);
	}
}

/* Memory of exactly the size, so that the sanitizer notices each byte beyond it. */
static void take(struct random *random, struct ring *ring)
{
	const size_t longest = 1 + below(random, one_in(random, 4) ? 70000 : 500);
	const size_t room = longest + below(random, one_in(random, 4) ? 200000 : 500);
	const int32_t maximum = 1 + (int32_t)below(random, 64);
	uint8_t *frames = malloc(room);
	int32_t *lengths = malloc((size_t)maximum * sizeof(*lengths));
	const uint16_t base = ring_base(ring);
	const int32_t count = ring_take(ring, frames, room, longest, maximum, (uint8_t *)lengths);
	size_t at = 0;

	CHECK(count <= maximum);
	if (count >= 0)
		CHECK(ring_base(ring) == (uint16_t)(base + count));
	for (int32_t i = 0; i < count; i++) {
		CHECK(lengths[i] >= 0 && (size_t)lengths[i] <= longest);
		if (lengths[i] == 0)
			continue;
		CHECK(at + (size_t)lengths[i] <= room);
		check_frame(frames + at, (size_t)lengths[i]);
		at += ((size_t)lengths[i] + 63) & ~(size_t)63;
		frames_taken++;
	}
	note_fault(ring, count);
	free(frames);
	free(lengths);
}

static void give(struct random *random, struct ring *ring)
{
	struct iovec frames[16];
	uint8_t *memory[16];
	const int32_t count = 1 + (int32_t)below(random, 16);
	int32_t taken;

	for (int32_t i = 0; i < count; i++) {
		const size_t length = one_in(random, 8) ? below(random, 70000) : below(random, 2000);

		memory[i] = malloc(length ? length : 1);
		memset(memory[i], 0, length);
		frames[i] = (struct iovec){ .iov_base = memory[i], .iov_len = length };
	}
	taken = ring_give(ring, frames, count);
	CHECK(taken <= count);
	for (int32_t i = 0; i < count; i++) {
		CHECK(frames[i].iov_base == memory[i] || (!frames[i].iov_base && (taken < 0 || i < taken)));
		if (i < taken)
			*(frames[i].iov_base ? &frames_given : &frames_skipped) += 1;
		free(memory[i]);
	}
	note_fault(ring, taken);
}

static struct ring *open_ring(struct random *random, struct guest_memory *memory, uint64_t table, uint32_t entries)
{
	const uint64_t user = regions[0].user + table;
	const struct ring_record record = {
		.descriptors = user,
		.available = user + AVAILABLE_AT,
		.used = user + USED_AT,
		.logged_used = one_in(random, 8) ? next(random) : table + USED_AT,
		.entries = entries,
		.first = (uint32_t)(one_in(random, 2) ? next(random) : 0),
		.flags = (uint32_t)(one_in(random, 8) ? next(random) : RING_INDIRECT | below(random, 16)),
		.chains_at = one_in(random, 2) ? -1 : (int32_t)below(random, 20),
	};
	struct ring *ring = NULL;

	CHECK(ring_open(memory, &record, &ring) == 0 && ring);
	return ring;
}

static void change_memory(struct random *random, struct guest_memory *memory, struct ring *rings[2], bool *was_truncated)
{
	const struct region_record *region = &regions[below(random, REGIONS)];

	switch (below(random, 8)) {
	case 0:
		guest_memory_remove(memory, region);
		ring_locate(rings[0]);
		ring_locate(rings[1]);
		break;
	case 1:
		*was_truncated = true;
		CHECK(ftruncate(guest_file, (off_t)(8 * below(random, PAGES * PAGE / 8))) == 0);
		break;
	case 2:
		CHECK(guest_memory_set_log(memory, -1, 0, 0) == 0);
		break;
	default:
		guest_memory_add(memory, guest_file, region);
	}
}

/* One life of a memory with two rings. */
static void play(uint64_t seed)
{
	struct random random = { .state = seed, .rarity = seed % 2 ? 1 : 100 };
	const uint16_t direction = one_in(&random, 2) ? 2 : 0;
	struct guest_memory *memory = guest_memory_create();
	struct ring *rings[2];
	uint32_t entries[2];
	bool was_truncated = false;

	seed_now = seed;
	CHECK(memory);
	fill_memory(&random, direction);
	for (size_t i = 0; i < REGIONS; i++)
		CHECK(guest_memory_add(memory, guest_file, &regions[i]) == 0);
	CHECK(guest_memory_set_log(memory, log_file, LOG_BYTES, 0) == 0);
	for (int i = 0; i < 2; i++) {
		entries[i] = UINT32_C(1) << below(&random, 9);
		rings[i] = open_ring(&random, memory, tables[i], entries[i]);
		fill_ring(&random, tables[i], entries[i], ring_base(rings[i]), direction);
	}
	let_change(seed % 3 == 0);
	for (uint64_t calls = 1 + below(&random, 60); calls; calls--) {
		const uint64_t which = below(&random, 2);
		struct ring *ring = rings[which];

		alarm(CALL_SECONDS);
		switch (below(&random, 8)) {
		case 0:
			note_fault(ring, ring_arm(ring, one_in(&random, 2)));
			break;
		case 1:
			if (is_wrong(&random, 2))
				change_memory(&random, memory, rings, &was_truncated);
			break;
		case 2:
		case 3:
			fill_ring(&random, tables[which], entries[which], ring_base(ring), direction);
			break;
		default:
			(direction ? give : take)(&random, ring);
		}
	}
	alarm(0);
	let_change(false);
	ring_free(rings[0]);
	ring_detach(rings[1]);
	guest_memory_free(memory);
	CHECK(ring_fault(rings[1]) && ring_has(rings[1]) < 0);
	ring_free(rings[1]);
	check_outside(was_truncated);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void play_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[200];

	CHECK(file);
	while (fgets(line, sizeof(line), file)) {
		if (*line != '#')
			play(strtoull(line, NULL, 10));
	}
	fclose(file);
	for (int fault = RING_FAULT_NONE; fault <= RING_FAULT_MEMORY; fault++)
		CHECK(faults_seen[fault] > 0);
	CHECK(frames_taken > 0 && frames_given > 0 && frames_skipped > 0);
}

int main(int argc, char **argv)
{
	const double until = seconds() + (argc > 2 ? atof(argv[2]) : 0);
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1, rounds = 0;

	CHECK(argc > 2);
	start_guest();
	play_file(argv[1]);
	for (; seconds() < until; rounds++)
		play(seed++);
	stop_guest();
	printf("fuzzed: %" PRIu64 " rounds, %" PRIu64 " frames taken, %" PRIu64 " given; faults", rounds, frames_taken,
	       frames_given);
	for (int fault = RING_FAULT_INDEX_JUMP; fault <= RING_FAULT_MEMORY; fault++)
		printf(" %" PRIu64, faults_seen[fault]);
	printf("\n");
	return 0;
}
