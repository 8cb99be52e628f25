/*
 * Descriptors of a worker thread. A thread may be terminated in the middle of its program, and then no line of it
 * closes what it has opened. So descriptors that calls of the addon have opened, and close() hasn't closed, are closed
 * with the thread's environment, and so are those that a message has brought (SCM_RIGHTS). For the main thread, whose
 * process ends then, the kernel does it.
 */
#include "native.h"

#include <stdlib.h>

#define BITS 64

void note_thread(struct native_state *state)
{
	state->is_worker = syscall(SYS_gettid) != getpid();
}

/* Without memory for it, a descriptor isn't recorded, and stays open. */
static bool has_room(struct native_state *state, size_t words)
{
	uint64_t *larger;

	if (words <= state->descriptor_words)
		return true;
	larger = realloc(state->descriptors, 2 * words * sizeof(*larger));
	if (!larger)
		return false;
	memset(larger + state->descriptor_words, 0, (2 * words - state->descriptor_words) * sizeof(*larger));
	state->descriptors = larger;
	state->descriptor_words = 2 * words;
	return true;
}

void record_descriptor(struct native_state *state, int32_t descriptor)
{
	if (descriptor >= 0 && state->is_worker && has_room(state, (size_t)descriptor / BITS + 1))
		state->descriptors[descriptor / BITS] |= UINT64_C(1) << descriptor % BITS;
}

void forget_descriptor(struct native_state *state, int32_t descriptor)
{
	if (descriptor >= 0 && (size_t)descriptor / BITS < state->descriptor_words)
		state->descriptors[descriptor / BITS] &= ~(UINT64_C(1) << descriptor % BITS);
}

napi_value descriptor_result(napi_env env, int32_t descriptor)
{
	void *state = NULL;

	if (napi_get_instance_data(env, &state) == napi_ok && state)
		record_descriptor(state, descriptor);
	return integer_result(env, descriptor);
}

/* Control messages may lie anywhere in the arena, so their headers are copied. */
void record_received_descriptors(struct native_state *state, const struct msghdr *message)
{
	const uint8_t *at = message->msg_control;
	size_t left = message->msg_controllen;
	struct cmsghdr header;

	while (state->is_worker && left >= sizeof(header)) {
		size_t length, space;

		memcpy(&header, at, sizeof(header));
		length = (size_t)header.cmsg_len;
		if (length < sizeof(header) || length > left)
			return;
		if (header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS) {
			for (size_t place = sizeof(header); place + 4 <= length; place += 4)
				record_descriptor(state, load_int32(at + place));
		}
		space = (length + 7) & ~(size_t)7;
		if (space >= left)
			return;
		at += space;
		left -= space;
	}
}

void close_recorded_descriptors(struct native_state *state)
{
	for (size_t word = 0; word < state->descriptor_words; word++) {
		for (int bit = 0; bit < BITS; bit++) {
			if (state->descriptors[word] >> bit & 1)
				close((int)word * BITS + bit);
		}
	}
	free(state->descriptors);
}
