/* The arena: the one piece of memory that TypeScript and the kernel share. */
#include "native.h"

#include <time.h>

void leave_lost_arena(napi_env env, struct native_state *state)
{
	napi_value buffer = NULL;
	bool is_detached = true;

	if (!state || !state->arena)
		return;
	if (napi_get_reference_value(env, state->arena_reference, &buffer) == napi_ok &&
	    napi_is_detached_arraybuffer(env, buffer, &is_detached) == napi_ok && !is_detached)
		return;
	state->arena = NULL;
	state->arena_length = 0;
}

/* True for an ArrayBuffer whose memory can shrink: Node-API itself doesn't say. */
static bool is_resizable(napi_env env, napi_value buffer)
{
	napi_value value;
	bool is = false;

	if (napi_get_named_property(env, buffer, "resizable", &value) != napi_ok)
		return true;
	/* Not a boolean: this runtime has no resizable ArrayBuffer. */
	return napi_get_value_bool(env, value, &is) == napi_ok && is;
}

/*
 * attach(arrayBuffer): makes the buffer the arena of this environment and keeps it alive. -EINVAL for a value that
 * isn't an ArrayBuffer, has no memory or is resizable.
 */
static napi_value attach(napi_env env, napi_callback_info info)
{
	struct native_state *state = state_of(env);
	napi_value buffer;
	size_t given = 1, length = 0;
	void *memory = NULL;
	bool is_buffer = false;
	napi_ref reference;

	if (napi_get_cb_info(env, info, &given, &buffer, NULL, NULL) != napi_ok || given < 1 ||
	    napi_is_arraybuffer(env, buffer, &is_buffer) != napi_ok || !is_buffer || is_resizable(env, buffer))
		return integer_result(env, -EINVAL);
	if (napi_get_arraybuffer_info(env, buffer, &memory, &length) != napi_ok || !memory)
		return integer_result(env, -EINVAL);
	/* Offsets are int32. */
	if (length > INT32_MAX)
		return integer_result(env, -E2BIG);
	if (napi_create_reference(env, buffer, 1, &reference) != napi_ok)
		return integer_result(env, -ENOMEM);
	if (state->arena_reference)
		napi_delete_reference(env, state->arena_reference);
	state->arena_reference = reference;
	state->arena = memory;
	state->arena_length = length;
	return integer_result(env, 0);
}

/* copy(fromOffset, toOffset, length): the ranges may overlap. */
static napi_value copy(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);
	void *from, *to;

	if (!state)
		return integer_result(env, -EINVAL);
	from = memory_at(state, arguments[0], arguments[2]);
	to = memory_at(state, arguments[1], arguments[2]);
	if (!from || !to)
		return integer_result(env, -EFAULT);
	memmove(to, from, (size_t)arguments[2]);
	return integer_result(env, 0);
}

/* monotonicMicroseconds(): CLOCK_MONOTONIC as a double. It doesn't fit in an int32. */
static napi_value monotonic_microseconds(napi_env env, napi_callback_info info)
{
	struct timespec now;
	napi_value value = NULL;

	(void)info;
	clock_gettime(CLOCK_MONOTONIC, &now);
	napi_create_double(env, (double)now.tv_sec * 1e6 + (double)(now.tv_nsec / 1000), &value);
	return value;
}

/* storeMonotonic(offset): the same as a double at `offset`, so that the runtime has no number to allocate for it. */
static napi_value store_monotonic(napi_env env, napi_callback_info info)
{
	int32_t arguments[1];
	struct native_state *state = read_arguments(env, info, 1, arguments);
	struct timespec now;
	double microseconds;
	void *memory;

	if (!state)
		return integer_result(env, -EINVAL);
	memory = memory_at(state, arguments[0], sizeof microseconds);
	if (!memory)
		return integer_result(env, -EFAULT);
	clock_gettime(CLOCK_MONOTONIC, &now);
	microseconds = (double)now.tv_sec * 1e6 + (double)(now.tv_nsec / 1000);
	memcpy(memory, &microseconds, sizeof microseconds);
	return integer_result(env, 0);
}

/* monotonicWord(): the lowest 32 bits of CLOCK_MONOTONIC in microseconds, signed. */
static napi_value monotonic_word(napi_env env, napi_callback_info info)
{
	struct timespec now;
	napi_value value = NULL;

	(void)info;
	clock_gettime(CLOCK_MONOTONIC, &now);
	napi_create_int32(env, (int32_t)(uint32_t)((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000), &value);
	return value;
}

int32_t translate_vectors(struct native_state *state, int32_t offset, int32_t count)
{
	const uint8_t *table;

	if (count < 0 || count > MAXIMUM_VECTORS)
		return -EINVAL;
	table = memory_at(state, offset, (int64_t)count * 8);
	if (!table)
		return -EFAULT;
	for (int32_t i = 0; i < count; i++, table += 8) {
		int32_t length = load_int32(table + 4);
		void *memory = memory_at(state, load_int32(table), length);

		if (!memory)
			return -EFAULT;
		state->vectors[i].iov_base = memory;
		state->vectors[i].iov_len = (size_t)length;
	}
	return 0;
}

napi_value register_arena(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "attach", attach },
		{ "copy", copy },
		{ "monotonicMicroseconds", monotonic_microseconds },
		{ "monotonicWord", monotonic_word },
		{ "storeMonotonic", store_monotonic },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
