/* A ring, for the files of this folder. Numbers of sections are those of virtio 1.3. */
#ifndef DEMIFLOW_RING_H
#define DEMIFLOW_RING_H

#include "rings.h"

/* Descriptors of an indirect table that are followed even if the ring has fewer entries. */
#define FEWEST_FOLLOWED 1024

/* 2.7.6. The last entry is followed by the used index at which the driver wants to be notified. */
struct available_ring {
	uint16_t flags, index, heads[];
};
#define AVAILABLE_NO_NOTIFICATION 1

/* 2.7.8. The last entry is followed by the available index at which the device wants to be notified. */
struct used_entry {
	uint32_t head, length;
};
struct used_ring {
	uint16_t flags, index;
	struct used_entry entries[];
};
#define USED_NO_NOTIFICATION 1

/* A part of a buffer that is contiguous here. */
struct piece {
	uint8_t *host;
	uint64_t address;
	size_t length;
};

struct ring {
	/* NULL once it is gone. */
	struct guest_memory *memory;
	const uint8_t *descriptors;
	struct available_ring *available;
	struct used_ring *used;
	struct ring_record record;
	uint32_t mask;
	/* The next entries of both rings. */
	uint16_t next_available, next_used;
	/* Chains that were available and not enough for a frame, when frames were given last. */
	uint16_t too_few;
	bool has_notified;
	enum ring_fault fault;
	int notified;
	/* What the chains of one frame consist of. */
	uint32_t piece_count, piece_limit;
	/* Descriptors of the ring's own table in them. */
	uint32_t descriptor_count;
	size_t bytes;
	struct piece pieces[];
};

static inline uint16_t load16(const uint16_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static inline void store16(uint16_t *at, uint16_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

/* The first fault is the one that is reported. */
static inline bool fail(struct ring *ring, enum ring_fault fault)
{
	if (!ring->fault)
		ring->fault = fault;
	return false;
}

/*
 * Adds the buffers of the chain that begins at a descriptor of the ring's table, until the frame has `enough` bytes,
 * more than it has now. False for a chain with a fault.
 */
bool add_chain(struct ring *ring, uint32_t index, bool is_writable, size_t enough);

#endif
