/*
 * Rings in the memory of another program: split virtqueues as in virtio 1.3, section 2.7, from the device's side.
 *
 * Frames are copied between that memory and ours, many in one call. What a frame contains is of no concern here. The
 * files of this folder, but calls.c, need neither Node-API nor the arena.
 *
 * The other side is hostile. It may change its memory at any time, so each number is loaded from there once, into a
 * local variable, and checked there. It may also truncate the file behind its memory: see guest-memory.c.
 */
#ifndef DEMIFLOW_RINGS_H
#define DEMIFLOW_RINGS_H

/* Must come before any system header. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define MAXIMUM_REGIONS 512
/* Bytes of guest memory for each bit of the log of written pages. */
#define LOGGED_PAGE 4096

/* Whole pages, as they were mapped. */
struct mapping {
	uint8_t *start;
	size_t length;
	/* Bytes of one page: more than usual for a file of huge pages. */
	size_t block;
};

struct region {
	/* In the guest, and in the other program. */
	uint64_t address, user;
	uint64_t bytes;
	/* Here. */
	uint8_t *host;
	struct mapping mapping;
};

struct guest_memory {
	/* A page wasn't there when it was used. */
	volatile sig_atomic_t is_lost;
	uint32_t count;
	/* The region of the last access. */
	uint32_t hit;
	struct mapping log_mapping;
	/* NULL: written pages aren't logged. */
	uint8_t *log;
	uint64_t log_bytes;
	struct region regions[MAXIMUM_REGIONS];
};

/* As the caller stores it. */
struct region_record {
	uint64_t address, bytes, user, offset;
};

/* NULL with errno if there isn't enough memory, or faults can't be caught. */
struct guest_memory *guest_memory_create(void);
/* Unmaps everything, which makes it as new: it isn't lost any more. */
void guest_memory_clear(struct guest_memory *memory);
void guest_memory_free(struct guest_memory *memory);
/* The next three return 0 or a negative errno. */
int32_t guest_memory_add(struct guest_memory *memory, int descriptor, const struct region_record *record);
int32_t guest_memory_remove(struct guest_memory *memory, const struct region_record *record);
/* A negative descriptor ends logging. */
int32_t guest_memory_set_log(struct guest_memory *memory, int descriptor, uint64_t bytes, uint64_t offset);

/*
 * Guest memory may be touched only between these two, which can't be nested. The second returns false if any of it is
 * lost.
 */
void guest_memory_enter(struct guest_memory *memory);
bool guest_memory_leave(struct guest_memory *memory);

/* The region that contains an address of the guest, or NULL. */
const struct region *guest_memory_find(struct guest_memory *memory, uint64_t address);
/* The place of a range that lies in one region, by its address in the other program, or NULL. */
void *guest_memory_at_user(const struct guest_memory *memory, uint64_t user, uint64_t bytes);
/* Notes in the log that a range of guest addresses has been written. */
void guest_memory_log(struct guest_memory *memory, uint64_t address, uint64_t bytes);

/* The same numbers as RingFlag and RingFault in ring-constants.ts. */
enum {
	RING_EVENT_INDEX = 1,
	RING_INDIRECT = 2,
	RING_LOG = 4,
	RING_LOG_USED = 8,
};

enum ring_fault {
	RING_FAULT_NONE,
	RING_FAULT_INDEX_JUMP,
	RING_FAULT_HEAD,
	RING_FAULT_LOOP,
	RING_FAULT_ADDRESS,
	RING_FAULT_DIRECTION,
	RING_FAULT_INDIRECT,
	RING_FAULT_MEMORY,
};

/* As the caller stores it. */
struct ring_record {
	/* In the other program. */
	uint64_t descriptors, available, used;
	/* The used ring's address in the guest, for the log. */
	uint64_t logged_used;
	uint32_t entries, first, flags;
	int32_t chains_at;
};

struct ring;

/* Returns 0 or a negative errno. */
int32_t ring_open(struct guest_memory *memory, const struct ring_record *record, struct ring **ring);
void ring_free(struct ring *ring);
struct guest_memory *ring_memory(const struct ring *ring);
/* Regions have been removed: the ring is unusable if it was there. */
void ring_locate(struct ring *ring);
/* The ring's memory is cleared or closed. */
void ring_detach(struct ring *ring);
/* The descriptor that is written to when the other side wants to be notified; -1: none. */
void ring_notify(struct ring *ring, int descriptor);

/*
 * Copies chains of readable buffers to `at`, each to the next multiple of 64 bytes, and stores their lengths as int32.
 * Returns how many, or a negative errno for a ring with a fault. `longest` is at most `room`.
 */
int32_t ring_take(struct ring *ring, uint8_t *at, size_t room, size_t longest, int32_t maximum, uint8_t *lengths);
/*
 * Copies frames to chains of writable buffers. Returns how many, or a negative errno for a ring with a fault. Sets the
 * address of one that doesn't fit to NULL. Where chains are merged, their number is stored in the frame itself.
 */
int32_t ring_give(struct ring *ring, struct iovec *frames, int32_t count);
int32_t ring_arm(struct ring *ring, bool wanted);
int32_t ring_has(struct ring *ring);
enum ring_fault ring_fault(const struct ring *ring);
uint16_t ring_base(const struct ring *ring);

#endif
