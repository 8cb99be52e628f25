/*
 * A split virtqueue, virtio 1.3, section 2.7, as the device sees it. Numbers of sections below are of that text.
 *
 * Its integers are little-endian, as this machine's are: build.mjs refuses others.
 */
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Frames begin at multiples of this: a cache line. */
#define FRAME_ALIGNMENT 64
#define MAXIMUM_ENTRIES 32768

static int32_t error_of(enum ring_fault fault)
{
	return fault == RING_FAULT_MEMORY || fault == RING_FAULT_ADDRESS ? -EFAULT : -EPROTO;
}

static uint16_t *used_event(const struct ring *ring)
{
	return &ring->available->heads[ring->record.entries];
}

static uint16_t *available_event(const struct ring *ring)
{
	return (uint16_t *)&ring->used->entries[ring->record.entries];
}

static void *aligned_at_user(const struct guest_memory *memory, uint64_t user, uint64_t bytes, uintptr_t alignment)
{
	void *const at = guest_memory_at_user(memory, user, bytes);

	return (uintptr_t)at % alignment ? NULL : at;
}

/* Sizes and alignment: 2.7. */
static bool locate(struct ring *ring)
{
	const struct ring_record *record = &ring->record;
	const uint64_t entries = record->entries;

	ring->descriptors = aligned_at_user(ring->memory, record->descriptors, entries * 16, 16);
	ring->available = aligned_at_user(ring->memory, record->available, 6 + 2 * entries, 2);
	ring->used = aligned_at_user(ring->memory, record->used, 6 + 8 * entries, 4);
	return ring->descriptors && ring->available && ring->used;
}

int32_t ring_open(struct guest_memory *memory, const struct ring_record *record, struct ring **opened)
{
	const uint32_t entries = record->entries, limit = entries + FEWEST_FOLLOWED;
	struct ring *ring;

	if (entries == 0 || entries > MAXIMUM_ENTRIES || (entries & (entries - 1)) || record->chains_at < -1)
		return -EINVAL;
	if (memory->is_lost)
		return -EFAULT;
	ring = malloc(sizeof(*ring) + limit * sizeof(ring->pieces[0]));
	if (!ring)
		return -ENOMEM;
	*ring = (struct ring){ .memory = memory, .record = *record, .mask = entries - 1, .notified = -1 };
	ring->piece_limit = limit;
	ring->next_available = (uint16_t)record->first;
	if (locate(ring)) {
		guest_memory_enter(memory);
		ring->next_used = load16(&ring->used->index);
		if (guest_memory_leave(memory)) {
			*opened = ring;
			return 0;
		}
	}
	free(ring);
	return -EFAULT;
}

void ring_free(struct ring *ring)
{
	free(ring);
}

struct guest_memory *ring_memory(const struct ring *ring)
{
	return ring->memory;
}

void ring_locate(struct ring *ring)
{
	if (!locate(ring))
		fail(ring, RING_FAULT_MEMORY);
}

void ring_detach(struct ring *ring)
{
	ring->memory = NULL;
	fail(ring, RING_FAULT_MEMORY);
}

void ring_notify(struct ring *ring, int descriptor)
{
	ring->notified = descriptor;
}

enum ring_fault ring_fault(const struct ring *ring)
{
	return ring->fault;
}

uint16_t ring_base(const struct ring *ring)
{
	return ring->next_available;
}

/* False if the ring can't be used. */
static bool begin(struct ring *ring)
{
	if (ring->fault || (ring->memory->is_lost && !fail(ring, RING_FAULT_MEMORY)))
		return false;
	guest_memory_enter(ring->memory);
	return true;
}

static int32_t end(struct ring *ring, int32_t count)
{
	if (!guest_memory_leave(ring->memory)) {
		ring->fault = RING_FAULT_MEMORY;
		return -EFAULT;
	}
	/* What came before the faulty chain is reported first. */
	return count == 0 && ring->fault ? error_of(ring->fault) : count;
}

/* Chains that are available, 2.7.13.3: the driver can't offer more than the ring has entries. */
static uint32_t count_waiting(struct ring *ring)
{
	const uint16_t index = __atomic_load_n(&ring->available->index, __ATOMIC_ACQUIRE);
	const uint32_t waiting = (uint16_t)(index - ring->next_available);

	if (waiting <= ring->record.entries)
		return waiting;
	fail(ring, RING_FAULT_INDEX_JUMP);
	return 0;
}

static void begin_frame(struct ring *ring)
{
	ring->piece_count = ring->descriptor_count = 0;
	ring->bytes = 0;
}

static uint16_t available_head(const struct ring *ring, uint32_t ahead)
{
	return load16(&ring->available->heads[(ring->next_available + ahead) & ring->mask]);
}

/* An entry beyond the used index: the driver doesn't read it yet. */
static void store_used(struct ring *ring, uint32_t ahead, uint32_t head, uint32_t length)
{
	struct used_entry *const entry = &ring->used->entries[(ring->next_used + ahead) & ring->mask];

	__atomic_store_n(&entry->head, head, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->length, length, __ATOMIC_RELAXED);
}

static void log_used(struct ring *ring, uint64_t offset, uint64_t bytes)
{
	if (ring->record.flags & RING_LOG_USED)
		guest_memory_log(ring->memory, ring->record.logged_used + offset, bytes);
}

/* 2.7.7.1: the device's side of it is 2.7.7.2. */
static bool wants_notification(struct ring *ring, uint16_t before)
{
	const bool is_first = !ring->has_notified;

	/* The index is visible before what the driver wants is loaded: it stores that, and loads the index then. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(ring->record.flags & RING_EVENT_INDEX))
		return !(load16(&ring->available->flags) & AVAILABLE_NO_NOTIFICATION);
	ring->has_notified = true;
	return is_first ||
	       (uint16_t)(ring->next_used - load16(used_event(ring)) - 1) < (uint16_t)(ring->next_used - before);
}

/* Gives chains back to the driver, all at once, and notifies it if it wants that. */
static void publish(struct ring *ring, uint32_t count)
{
	const uint16_t before = ring->next_used;
	const uint64_t one = 1;

	if (count == 0 || ring->memory->is_lost)
		return;
	for (uint32_t i = 0; i < count && ring->record.flags & RING_LOG_USED; i++)
		log_used(ring, 4 + 8 * (uint64_t)((before + i) & ring->mask), 8);
	ring->next_available = (uint16_t)(ring->next_available + count);
	ring->next_used = (uint16_t)(before + count);
	__atomic_store_n(&ring->used->index, ring->next_used, __ATOMIC_RELEASE);
	log_used(ring, 2, 2);
	/* A counter that is full notifies just as well, and one that is gone is the other program's affair. */
	if (wants_notification(ring, before) && ring->notified >= 0 && write(ring->notified, &one, sizeof(one)) < 0)
		return;
}

static void copy_from_pieces(const struct ring *ring, uint8_t *to)
{
	for (uint32_t i = 0; i < ring->piece_count; i++) {
		memcpy(to, ring->pieces[i].host, ring->pieces[i].length);
		to += ring->pieces[i].length;
	}
}

static void copy_to_pieces(struct ring *ring, const uint8_t *from)
{
	for (uint32_t i = 0; i < ring->piece_count; i++) {
		const struct piece *piece = &ring->pieces[i];

		memcpy(piece->host, from, piece->length);
		if (ring->record.flags & RING_LOG)
			guest_memory_log(ring->memory, piece->address, piece->length);
		from += piece->length;
	}
}

int32_t ring_take(struct ring *ring, uint8_t *at, size_t room, size_t longest, int32_t maximum, uint8_t *lengths)
{
	uint32_t waiting, count = 0;
	size_t place = 0;

	if (!begin(ring))
		return error_of(ring->fault);
	waiting = count_waiting(ring);
	if (waiting > (uint32_t)maximum)
		waiting = (uint32_t)maximum;
	while (count < waiting && !ring->memory->is_lost) {
		const uint16_t head = available_head(ring, count);
		int32_t length;

		begin_frame(ring);
		if (!add_chain(ring, head, false, longest + 1))
			break;
		length = ring->bytes > longest ? 0 : (int32_t)ring->bytes;
		if ((size_t)length > room - place)
			break;
		if (length)
			copy_from_pieces(ring, at + place);
		store_used(ring, count, head, 0);
		memcpy(lengths + 4 * (size_t)count, &length, sizeof(length));
		count++;
		place += ((size_t)length + FRAME_ALIGNMENT - 1) & ~(size_t)(FRAME_ALIGNMENT - 1);
		if (place > room)
			place = room;
	}
	publish(ring, count);
	return end(ring, (int32_t)count);
}

enum gathered { GATHERED, TOO_FEW, TOO_LONG, FAULTY };

/*
 * Finds room for a frame of `length` bytes in chains from the one that is `ahead` of the next; `chains` becomes their
 * number. TOO_LONG: there will never be room enough.
 */
static enum gathered gather_room(struct ring *ring, size_t length, uint32_t ahead, uint32_t waiting, uint32_t *chains)
{
	begin_frame(ring);
	*chains = 0;
	while (ring->bytes < length) {
		const size_t before = ring->bytes;
		uint16_t head;

		if (ahead + *chains == waiting)
			/* Every descriptor that there is may be in use for this frame already. */
			return ring->descriptor_count >= ring->record.entries ? TOO_LONG : TOO_FEW;
		head = available_head(ring, ahead + *chains);
		if (!add_chain(ring, head, true, length))
			return FAULTY;
		store_used(ring, ahead + *chains, head, (uint32_t)(ring->bytes - before));
		++*chains;
		if (ring->record.chains_at < 0 && ring->bytes < length)
			return TOO_LONG;
	}
	return GATHERED;
}

int32_t ring_give(struct ring *ring, struct iovec *frames, int32_t count)
{
	const int32_t chains_at = ring->record.chains_at;
	uint32_t waiting, used = 0;
	int32_t taken = 0;

	if (!begin(ring))
		return error_of(ring->fault);
	waiting = count_waiting(ring);
	ring->too_few = 0;
	for (; taken < count && !ring->memory->is_lost; taken++) {
		uint8_t *const frame = frames[taken].iov_base;
		const size_t length = frames[taken].iov_len;
		enum gathered gathered = TOO_LONG;
		uint32_t chains = 0;

		if (length > 0 && (chains_at < 0 || length >= (size_t)chains_at + 2))
			gathered = gather_room(ring, length, used, waiting, &chains);
		if (gathered == TOO_FEW)
			ring->too_few = (uint16_t)(waiting - used);
		if (gathered == TOO_FEW || gathered == FAULTY)
			break;
		if (gathered == TOO_LONG) {
			frames[taken].iov_base = NULL;
			continue;
		}
		if (chains_at >= 0) {
			const uint16_t number = (uint16_t)chains;

			memcpy(frame + chains_at, &number, sizeof(number));
		}
		copy_to_pieces(ring, frame);
		used += chains;
	}
	publish(ring, used);
	return end(ring, taken);
}

int32_t ring_arm(struct ring *ring, bool wanted)
{
	const bool has_event_index = ring->record.flags & RING_EVENT_INDEX;
	/* Chains that a frame needs more of are no news. */
	const uint16_t known = (uint16_t)(ring->next_available + ring->too_few);
	bool has_chains = false;

	if (!begin(ring))
		return error_of(ring->fault);
	/* 2.7.9.1, 2.7.10.1. With an event index, the driver notifies once and then waits for a new one. */
	if (!has_event_index) {
		store16(&ring->used->flags, wanted ? 0 : USED_NO_NOTIFICATION);
		log_used(ring, 0, 2);
	} else if (wanted) {
		store16(available_event(ring), known);
		log_used(ring, 4 + 8 * (uint64_t)ring->record.entries, 2);
	}
	if (wanted) {
		/* The driver stores its index and then loads the above: one of both sees the other's. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		has_chains = load16(&ring->available->index) != known;
	}
	return end(ring, has_chains);
}

int32_t ring_has(struct ring *ring)
{
	bool has_chains;

	if (!begin(ring))
		return error_of(ring->fault);
	has_chains = load16(&ring->available->index) != ring->next_available;
	return end(ring, has_chains);
}
