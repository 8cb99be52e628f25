/*
 * The descriptors of a split virtqueue: which memory a chain of them consists of. Numbers of sections are those of
 * virtio 1.3.
 */
#include "ring.h"

#include <string.h>

/* 2.7.5 */
struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};
#define DESCRIPTOR_NEXT 1
#define DESCRIPTOR_WRITE 2
#define DESCRIPTOR_INDIRECT 4

/* What was loaded before stays as it is: the compiler may not load it again. */
#define LOADED() __asm__ __volatile__("" : : : "memory")

/* The region of a guest address; most often that of the last one. */
static inline const struct region *find(struct guest_memory *memory, uint64_t address)
{
	const struct region *region = &memory->regions[memory->hit];

	if (memory->hit < memory->count && address - region->address < region->bytes)
		return region;
	return guest_memory_find(memory, address);
}

/* Loads a descriptor of an indirect table, which may lie anywhere: 2.7.5.3. */
static bool load_anywhere(struct guest_memory *memory, uint64_t address, struct descriptor *descriptor)
{
	uint8_t *to = (uint8_t *)descriptor;
	size_t left = sizeof(*descriptor);

	while (left) {
		const struct region *region = find(memory, address);
		uint64_t here;

		if (!region)
			return false;
		here = region->bytes - (address - region->address);
		if (here > left)
			here = left;
		memcpy(to, region->host + (address - region->address), here);
		to += here;
		address += here;
		left -= here;
	}
	return true;
}

/* Adds a buffer, or the first `length` bytes of it. Regions that follow one another are one range. */
static bool add_buffer(struct ring *ring, uint64_t address, size_t length)
{
	ring->bytes += length;
	while (length) {
		const struct region *region = find(ring->memory, address);
		uint64_t here;

		if (!region)
			return fail(ring, RING_FAULT_ADDRESS);
		if (ring->piece_count == ring->piece_limit)
			return fail(ring, RING_FAULT_LOOP);
		here = region->bytes - (address - region->address);
		if (here > length)
			here = length;
		ring->pieces[ring->piece_count++] = (struct piece){
			.host = region->host + (address - region->address),
			.address = address,
			.length = here,
		};
		address += here;
		length -= here;
	}
	return true;
}

/*
 * Readable buffers come before writable ones: 2.7.4.2. A frame for the guest may use a chain only if all of it, as far
 * as followed, is writable. A frame from the guest consists of what is readable.
 */
bool add_chain(struct ring *ring, uint32_t index, bool is_writable, size_t enough)
{
	uint32_t entries = ring->record.entries, limit = entries, followed = 0;
	bool is_indirect = false, was_writable = false;
	uint64_t table = 0;

	for (;;) {
		struct descriptor descriptor;

		if (index >= entries)
			return fail(ring, RING_FAULT_HEAD);
		if (followed++ == limit)
			return fail(ring, RING_FAULT_LOOP);
		if (!is_indirect) {
			memcpy(&descriptor, ring->descriptors + 16 * (size_t)index, sizeof(descriptor));
			ring->descriptor_count++;
		} else if (!load_anywhere(ring->memory, table + 16 * (uint64_t)index, &descriptor)) {
			return fail(ring, RING_FAULT_ADDRESS);
		}
		LOADED();
		if (descriptor.flags & DESCRIPTOR_INDIRECT) {
			/* 2.7.5.3.1 */
			if (is_indirect || !(ring->record.flags & RING_INDIRECT) || descriptor.flags & DESCRIPTOR_NEXT ||
			    descriptor.length == 0 || descriptor.length % 16)
				return fail(ring, RING_FAULT_INDIRECT);
			if (descriptor.length - 1 > UINT64_MAX - descriptor.address)
				return fail(ring, RING_FAULT_ADDRESS);
			is_indirect = true;
			table = descriptor.address;
			entries = descriptor.length / 16;
			/* 2.7.5.3.1 allows as many as the ring has entries; drivers of small rings use more. */
			limit = ring->record.entries > FEWEST_FOLLOWED ? ring->record.entries : FEWEST_FOLLOWED;
			if (limit > entries)
				limit = entries;
			index = followed = 0;
			continue;
		}
		if (descriptor.flags & DESCRIPTOR_WRITE)
			was_writable = true;
		else if (is_writable || was_writable)
			return fail(ring, RING_FAULT_DIRECTION);
		if (was_writable == is_writable && descriptor.length) {
			const size_t left = enough - ring->bytes;

			if (descriptor.length - 1 > UINT64_MAX - descriptor.address)
				return fail(ring, RING_FAULT_ADDRESS);
			if (!add_buffer(ring, descriptor.address, descriptor.length < left ? descriptor.length : left))
				return false;
			if (ring->bytes == enough)
				return true;
		}
		if (!(descriptor.flags & DESCRIPTOR_NEXT))
			return true;
		index = descriptor.next;
	}
}
