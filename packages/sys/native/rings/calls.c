/* Guest memory and rings as calls of the addon: numbers in place of pointers, and frames in the arena. */
#include "rings.h"

#include "../native.h"

#include <stdlib.h>

#define MAXIMUM_MEMORIES 64
#define MAXIMUM_RINGS 256

struct ring_table {
	struct guest_memory *memories[MAXIMUM_MEMORIES];
	struct ring *rings[MAXIMUM_RINGS];
};

static struct guest_memory **memory_slot(const struct native_state *state, int32_t number)
{
	if (!state->rings || number < 0 || number >= MAXIMUM_MEMORIES || !state->rings->memories[number])
		return NULL;
	return &state->rings->memories[number];
}

static struct ring **ring_slot(const struct native_state *state, int32_t number)
{
	if (!state->rings || number < 0 || number >= MAXIMUM_RINGS || !state->rings->rings[number])
		return NULL;
	return &state->rings->rings[number];
}

static void for_rings_of(const struct ring_table *table, const struct guest_memory *memory, void (*call)(struct ring *))
{
	for (int i = 0; i < MAXIMUM_RINGS; i++) {
		if (table->rings[i] && ring_memory(table->rings[i]) == memory)
			call(table->rings[i]);
	}
}

void release_rings(struct native_state *state)
{
	struct ring_table *table = state->rings;

	if (!table)
		return;
	for (int i = 0; i < MAXIMUM_RINGS; i++)
		ring_free(table->rings[i]);
	for (int i = 0; i < MAXIMUM_MEMORIES; i++) {
		if (table->memories[i])
			guest_memory_free(table->memories[i]);
	}
	free(table);
	state->rings = NULL;
}

/* memoryCreate(): returns a number. */
static napi_value memory_create(napi_env env, napi_callback_info info)
{
	struct native_state *state = read_arguments(env, info, 0, NULL);
	int32_t number = 0;

	if (!state)
		return integer_result(env, -EINVAL);
	if (!state->rings)
		state->rings = calloc(1, sizeof(*state->rings));
	if (!state->rings)
		return integer_result(env, -ENOMEM);
	while (number < MAXIMUM_MEMORIES && state->rings->memories[number])
		number++;
	if (number == MAXIMUM_MEMORIES)
		return integer_result(env, -EMFILE);
	state->rings->memories[number] = guest_memory_create();
	return integer_result(env, state->rings->memories[number] ? number : -errno);
}

/* memoryAdd(memory, descriptor, recordOffset) */
static napi_value memory_add(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);
	struct guest_memory **memory;
	struct region_record record;
	const void *at;

	if (!state)
		return integer_result(env, -EINVAL);
	at = memory_at(state, arguments[2], sizeof(record));
	if (!at)
		return integer_result(env, -EFAULT);
	memory = memory_slot(state, arguments[0]);
	if (!memory)
		return integer_result(env, -EBADF);
	memcpy(&record, at, sizeof(record));
	return integer_result(env, guest_memory_add(*memory, arguments[1], &record));
}

/* memoryRemove(memory, recordOffset): rings that were in the region are unusable. */
static napi_value memory_remove(napi_env env, napi_callback_info info)
{
	int32_t arguments[2], result;
	struct native_state *state = read_arguments(env, info, 2, arguments);
	struct guest_memory **memory;
	struct region_record record;
	const void *at;

	if (!state)
		return integer_result(env, -EINVAL);
	at = memory_at(state, arguments[1], sizeof(record));
	if (!at)
		return integer_result(env, -EFAULT);
	memory = memory_slot(state, arguments[0]);
	if (!memory)
		return integer_result(env, -EBADF);
	memcpy(&record, at, sizeof(record));
	result = guest_memory_remove(*memory, &record);
	if (result == 0)
		for_rings_of(state->rings, *memory, ring_locate);
	return integer_result(env, result);
}

/* memoryClear(memory): rings in it are unusable. */
static napi_value memory_clear(napi_env env, napi_callback_info info)
{
	int32_t number;
	struct native_state *state = read_arguments(env, info, 1, &number);
	struct guest_memory **memory;

	if (!state)
		return integer_result(env, -EINVAL);
	memory = memory_slot(state, number);
	if (!memory)
		return integer_result(env, -EBADF);
	for_rings_of(state->rings, *memory, ring_detach);
	guest_memory_clear(*memory);
	return integer_result(env, 0);
}

/* memoryClose(memory) */
static napi_value memory_close(napi_env env, napi_callback_info info)
{
	int32_t number;
	struct native_state *state = read_arguments(env, info, 1, &number);
	struct guest_memory **memory;

	if (!state)
		return integer_result(env, -EINVAL);
	memory = memory_slot(state, number);
	if (!memory)
		return integer_result(env, -EBADF);
	for_rings_of(state->rings, *memory, ring_detach);
	guest_memory_free(*memory);
	*memory = NULL;
	return integer_result(env, 0);
}

/* memoryLog(memory, descriptor, recordOffset): the record is read only if there is a descriptor. */
static napi_value memory_log(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);
	struct guest_memory **memory;
	uint64_t record[2] = { 0 };
	const void *at;

	if (!state)
		return integer_result(env, -EINVAL);
	if (arguments[1] >= 0) {
		at = memory_at(state, arguments[2], sizeof(record));
		if (!at)
			return integer_result(env, -EFAULT);
		memcpy(record, at, sizeof(record));
	}
	memory = memory_slot(state, arguments[0]);
	if (!memory)
		return integer_result(env, -EBADF);
	return integer_result(env, guest_memory_set_log(*memory, arguments[1], record[0], record[1]));
}

/* ringOpen(memory, recordOffset): returns a number. */
static napi_value open_ring(napi_env env, napi_callback_info info)
{
	int32_t arguments[2], number = 0, result;
	struct native_state *state = read_arguments(env, info, 2, arguments);
	struct guest_memory **memory;
	struct ring_record record;
	const void *at;

	if (!state)
		return integer_result(env, -EINVAL);
	at = memory_at(state, arguments[1], sizeof(record));
	if (!at)
		return integer_result(env, -EFAULT);
	memory = memory_slot(state, arguments[0]);
	if (!memory)
		return integer_result(env, -EBADF);
	memcpy(&record, at, sizeof(record));
	while (number < MAXIMUM_RINGS && state->rings->rings[number])
		number++;
	if (number == MAXIMUM_RINGS)
		return integer_result(env, -EMFILE);
	result = ring_open(*memory, &record, &state->rings->rings[number]);
	return integer_result(env, result ? result : number);
}

/* ringNotify(ring, descriptor) */
static napi_value notify_ring(napi_env env, napi_callback_info info)
{
	int32_t arguments[2];
	struct native_state *state = read_arguments(env, info, 2, arguments);
	struct ring **ring;

	if (!state)
		return integer_result(env, -EINVAL);
	ring = ring_slot(state, arguments[0]);
	if (!ring)
		return integer_result(env, -EBADF);
	ring_notify(*ring, arguments[1]);
	return integer_result(env, 0);
}

/* ringTake(ring, offset, room, longest, maximum, lengthsOffset) */
static napi_value take(napi_env env, napi_callback_info info)
{
	int32_t arguments[6], room, longest, maximum;
	struct native_state *state = read_arguments(env, info, 6, arguments);
	struct ring **ring;
	uint8_t *at, *lengths;

	if (!state)
		return integer_result(env, -EINVAL);
	room = arguments[2];
	longest = arguments[3];
	maximum = arguments[4];
	if (longest <= 0 || longest > room || maximum <= 0)
		return integer_result(env, -EINVAL);
	at = memory_at(state, arguments[1], room);
	lengths = memory_at(state, arguments[5], (int64_t)maximum * 4);
	if (!at || !lengths)
		return integer_result(env, -EFAULT);
	ring = ring_slot(state, arguments[0]);
	if (!ring)
		return integer_result(env, -EBADF);
	return integer_result(env, ring_take(*ring, at, (size_t)room, (size_t)longest, maximum, lengths));
}

/* ringGive(ring, vectorOffset, count): the length of a frame that was skipped becomes -1. */
static napi_value give(napi_env env, napi_callback_info info)
{
	int32_t arguments[3], result;
	struct native_state *state = read_arguments(env, info, 3, arguments);
	struct ring **ring;

	if (!state)
		return integer_result(env, -EINVAL);
	result = translate_vectors(state, arguments[1], arguments[2]);
	if (result)
		return integer_result(env, result);
	ring = ring_slot(state, arguments[0]);
	if (!ring)
		return integer_result(env, -EBADF);
	result = ring_give(*ring, state->vectors, arguments[2]);
	for (int32_t i = 0; i < result; i++) {
		if (!state->vectors[i].iov_base)
			store_int32(state->arena + arguments[1] + 8 * (size_t)i + 4, -1);
	}
	return integer_result(env, result);
}

/* ringArm(ring, wanted) */
static napi_value arm(napi_env env, napi_callback_info info)
{
	int32_t arguments[2];
	struct native_state *state = read_arguments(env, info, 2, arguments);
	struct ring **ring;

	if (!state)
		return integer_result(env, -EINVAL);
	ring = ring_slot(state, arguments[0]);
	return integer_result(env, ring ? ring_arm(*ring, arguments[1] != 0) : -EBADF);
}

/* ringHas(ring), ringFault(ring) and ringBase(ring) */
static int32_t fault_of(struct ring *ring)
{
	return (int32_t)ring_fault(ring);
}

static int32_t base_of(struct ring *ring)
{
	return ring_base(ring);
}

static napi_value ask(napi_env env, napi_callback_info info, int32_t (*question)(struct ring *))
{
	int32_t number;
	struct native_state *state = read_arguments(env, info, 1, &number);
	struct ring **ring;

	if (!state)
		return integer_result(env, -EINVAL);
	ring = ring_slot(state, number);
	return integer_result(env, ring ? question(*ring) : -EBADF);
}

static napi_value has(napi_env env, napi_callback_info info)
{
	return ask(env, info, ring_has);
}

static napi_value fault(napi_env env, napi_callback_info info)
{
	return ask(env, info, fault_of);
}

static napi_value base(napi_env env, napi_callback_info info)
{
	return ask(env, info, base_of);
}

/* ringClose(ring) */
static napi_value close_ring(napi_env env, napi_callback_info info)
{
	int32_t number;
	struct native_state *state = read_arguments(env, info, 1, &number);
	struct ring **ring;

	if (!state)
		return integer_result(env, -EINVAL);
	ring = ring_slot(state, number);
	if (!ring)
		return integer_result(env, -EBADF);
	ring_free(*ring);
	*ring = NULL;
	return integer_result(env, 0);
}

napi_value register_rings(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "memoryCreate", memory_create },
		{ "memoryAdd", memory_add },
		{ "memoryRemove", memory_remove },
		{ "memoryClear", memory_clear },
		{ "memoryClose", memory_close },
		{ "memoryLog", memory_log },
		{ "ringOpen", open_ring },
		{ "ringNotify", notify_ring },
		{ "ringTake", take },
		{ "ringGive", give },
		{ "ringArm", arm },
		{ "ringHas", has },
		{ "ringFault", fault },
		{ "ringBase", base },
		{ "ringClose", close_ring },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
