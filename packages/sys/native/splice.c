/* Moves bytes between a pipe and a socket inside the kernel. */
#include "native.h"

#include <fcntl.h>

/*
 * splice(from, to, length): the number of bytes moved, 0 at the end of `from`. One of the two is a pipe. Never blocks.
 */
static napi_value splice_bytes(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	ssize_t moved;

	if (!read_arguments(env, info, 3, arguments) || arguments[2] < 0)
		return integer_result(env, -EINVAL);
	do {
		moved = splice(arguments[0], NULL, arguments[1], NULL, (size_t)arguments[2],
			       SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	} while (moved < 0 && errno == EINTR);
	return integer_result(env, result_of(moved));
}

/* Adds the functions of this file to the addon's exports. */
napi_value register_splice(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "splice", splice_bytes },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
