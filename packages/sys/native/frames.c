/* Whole frames or packets per system call, many per native call: what tap devices want. */
#include "native.h"

#include <unistd.h>

/*
 * readFrames(fd, offset, stride, maximum, lengthsOffset): reads frames into slots of `stride` bytes that follow one
 * another from `offset`, and their lengths as int32 to `lengthsOffset`, until the descriptor would block or `maximum`
 * are read. Returns how many; 0 when there was none; a negative errno when the first read failed otherwise. A frame of
 * length 0 is the end of a stream and ends the batch. A frame that fills its slot may have been cut.
 */
static napi_value read_frames(napi_env env, napi_callback_info info)
{
	int32_t arguments[5];
	struct native_state *state = read_arguments(env, info, 5, arguments);
	int32_t stride, maximum, count = 0;
	uint8_t *slot, *lengths;

	if (!state)
		return integer_result(env, -EINVAL);
	stride = arguments[2];
	maximum = arguments[3];
	if (stride <= 0 || maximum <= 0)
		return integer_result(env, -EINVAL);
	/* stride and maximum are below 2^31 each, so their product fits. */
	slot = memory_at(state, arguments[1], (int64_t)stride * maximum);
	lengths = memory_at(state, arguments[4], (int64_t)maximum * 4);
	if (!slot || !lengths)
		return integer_result(env, -EFAULT);
	while (count < maximum) {
		ssize_t length = read(arguments[0], slot, (size_t)stride);

		if (length < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN && !count)
				return integer_result(env, -errno);
			break;
		}
		store_int32(lengths + (size_t)count * 4, (int32_t)length);
		count++;
		if (!length)
			break;
		slot += stride;
	}
	return integer_result(env, count);
}

/*
 * writeFrames(fd, vectorOffset, count): writes one frame per (offset, length) pair. Returns how many the kernel took
 * before the first error; the negative errno when that was the first frame: so the caller learns which frame it was
 * and why, and goes on behind it or retries from it.
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
