/* Whole frames or packets, one per system call and many per native call, as tap devices need. */
#include "native.h"

#include <unistd.h>

/* Each frame begins at a multiple of this, counted from the first: a cache line. */
#define FRAME_ALIGNMENT 64

/*
 * readFrames(fd, offset, room, maximum, lengthsOffset): reads frames of up to `room` bytes (a multiple of 64) until the
 * descriptor would block or `maximum` are read. The first lies at `offset`, and each further one after the one before,
 * at the next multiple of 64 bytes counted from `offset`: small frames stay close together, in cache. Their lengths go
 * to `lengthsOffset` as int32. room * maximum bytes must be in the arena.
 *
 * Returns how many; 0 when there was none. A read that fails otherwise counts as a frame whose length is the negative
 * errno, and ends the batch: the caller gets the frames before it and the result of each read. A frame of length 0 is
 * the end of a stream and ends the batch. A frame that fills its room may have been truncated.
 */
static napi_value read_frames(napi_env env, napi_callback_info info)
{
	int32_t arguments[5];
	struct native_state *state = read_arguments(env, info, 5, arguments);
	int32_t room, maximum, count = 0;
	uint8_t *frame, *lengths;

	if (!state)
		return integer_result(env, -EINVAL);
	room = arguments[2];
	maximum = arguments[3];
	if (room <= 0 || room % FRAME_ALIGNMENT || maximum <= 0)
		return integer_result(env, -EINVAL);
	/* Both are below 2^31, so their product fits. */
	frame = memory_at(state, arguments[1], (int64_t)room * maximum);
	lengths = memory_at(state, arguments[4], (int64_t)maximum * 4);
	if (!frame || !lengths)
		return integer_result(env, -EFAULT);
	while (count < maximum) {
		ssize_t length = read(arguments[0], frame, (size_t)room);

		if (length < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN)
				break;
			length = -errno;
		}
		store_int32(lengths + (size_t)count * 4, (int32_t)length);
		count++;
		if (length <= 0)
			break;
		frame += ((size_t)length + FRAME_ALIGNMENT - 1) & ~(size_t)(FRAME_ALIGNMENT - 1);
	}
	return integer_result(env, count);
}

/*
 * writeFrames(fd, vectorOffset, count): writes one frame per (offset, length) pair. Returns how many the kernel took
 * before the first error, or the negative errno if the first frame failed. So the caller knows which frame failed and
 * why, and can skip or retry it.
 */
static napi_value write_frames(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);
	const uint8_t *table;
	int32_t written = 0;

	if (!state || arguments[2] < 0)
		return integer_result(env, -EINVAL);
	table = memory_at(state, arguments[1], (int64_t)arguments[2] * 8);
	if (!table)
		return integer_result(env, -EFAULT);
	while (written < arguments[2]) {
		int32_t length = load_int32(table + 4);
		void *frame = memory_at(state, load_int32(table), length);
		ssize_t taken;

		if (!frame)
			return integer_result(env, written ? written : -EFAULT);
		taken = write(arguments[0], frame, (size_t)length);
		if (taken < 0) {
			if (errno == EINTR)
				continue;
			return integer_result(env, written ? written : -errno);
		}
		written++;
		table += 8;
	}
	return integer_result(env, written);
}

napi_value register_frames(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "readFrames", read_frames },
		{ "writeFrames", write_frames },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
