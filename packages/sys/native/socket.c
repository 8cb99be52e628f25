/* Sockets: life cycle, names, options. Addresses are the kernel's sockaddr structures, in the arena. */
#include "native.h"

#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

/* socket(domain, type, protocol): always non-blocking and closed on exec. */
static napi_value create_socket(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];

	if (!read_arguments(env, info, 3, arguments))
		return integer_result(env, -EINVAL);
	return descriptor_result(
		env, result_of(socket(arguments[0], arguments[1] | SOCK_NONBLOCK | SOCK_CLOEXEC, arguments[2])));
}

/* socketPair(domain, type, protocol, offset): two descriptors as int32 at `offset`. */
static napi_value create_socket_pair(napi_env env, napi_callback_info info)
{
	int32_t arguments[4];
	struct native_state *state = read_arguments(env, info, 4, arguments);
	uint8_t *memory;
	int pair[2];

	if (!state)
		return integer_result(env, -EINVAL);
	memory = memory_at(state, arguments[3], 8);
	if (!memory)
		return integer_result(env, -EFAULT);
	if (socketpair(arguments[0], arguments[1] | SOCK_NONBLOCK | SOCK_CLOEXEC, arguments[2], pair) < 0)
		return integer_result(env, -errno);
	record_descriptor(state, pair[0]);
	record_descriptor(state, pair[1]);
	store_int32(memory, pair[0]);
	store_int32(memory + 4, pair[1]);
	return integer_result(env, 0);
}

/* Copies the address to aligned memory: the arena promises no alignment. */
static int32_t load_address(const struct native_state *state, int32_t offset, int32_t length,
			    struct sockaddr_storage *address)
{
	const void *memory = memory_at(state, offset, length);

	if (!memory)
		return -EFAULT;
	if ((size_t)length > sizeof(*address))
		return -EINVAL;
	memset(address, 0, sizeof(*address));
	memcpy(address, memory, (size_t)length);
	return 0;
}

/* bind(fd, addressOffset, length) */
static napi_value bind_socket(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);
	struct sockaddr_storage address;
	int32_t error;

	if (!state)
		return integer_result(env, -EINVAL);
	error = load_address(state, arguments[1], arguments[2], &address);
	if (error)
		return integer_result(env, error);
	return integer_result(
		env, result_of(bind(arguments[0], (const struct sockaddr *)&address, (socklen_t)arguments[2])));
}

/*
 * connect(fd, addressOffset, length): -EINPROGRESS while the connection is being set up. Not retried when interrupted:
 * the connection then proceeds by itself (connect(2)), and epoll reports its end.
 */
static napi_value connect_socket(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);
	struct sockaddr_storage address;
	int32_t error;

	if (!state)
		return integer_result(env, -EINVAL);
	error = load_address(state, arguments[1], arguments[2], &address);
	if (error)
		return integer_result(env, error);
	error = result_of(connect(arguments[0], (const struct sockaddr *)&address, (socklen_t)arguments[2]));
	return integer_result(env, error == -EINTR ? -EINPROGRESS : error);
}

/* listen(fd, backlog) */
static napi_value listen_socket(napi_env env, napi_callback_info info)
{
	int32_t arguments[2];

	if (!read_arguments(env, info, 2, arguments))
		return integer_result(env, -EINVAL);
	return integer_result(env, result_of(listen(arguments[0], arguments[1])));
}

/*
 * accept(fd, addressOffset, maximumLength): the new descriptor, non-blocking and closed on exec; its correspondent's
 * address at `addressOffset`, the rest of the range zeroed. With maximumLength 0, no address is stored.
 */
static napi_value accept_socket(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	void *memory;
	int accepted;

	if (!state)
		return integer_result(env, -EINVAL);
	memory = memory_at(state, arguments[1], arguments[2]);
	if (!memory)
		return integer_result(env, -EFAULT);
	memset(&address, 0, sizeof(address));
	do {
		accepted = accept4(arguments[0], (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (accepted < 0 && errno == EINTR);
	if (accepted < 0)
		return integer_result(env, -errno);
	memset(memory, 0, (size_t)arguments[2]);
	memcpy(memory, &address, (size_t)arguments[2] < sizeof(address) ? (size_t)arguments[2] : sizeof(address));
	return descriptor_result(env, accepted);
}

static int32_t socket_name(napi_env env, napi_callback_info info,
			   int (*get)(int, struct sockaddr *restrict, socklen_t *restrict))
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	void *memory;

	if (!state)
		return -EINVAL;
	memory = memory_at(state, arguments[1], arguments[2]);
	if (!memory)
		return -EFAULT;
	if (get(arguments[0], (struct sockaddr *)&address, &length) < 0)
		return -errno;
	if (length > sizeof(address))
		length = sizeof(address);
	memcpy(memory, &address, (size_t)arguments[2] < length ? (size_t)arguments[2] : length);
	return (int32_t)length;
}

/* getSocketName(fd, addressOffset, maximumLength): the address's own length. */
static napi_value get_socket_name(napi_env env, napi_callback_info info)
{
	return integer_result(env, socket_name(env, info, getsockname));
}

/* getPeerName(fd, addressOffset, maximumLength): the address's own length. */
static napi_value get_peer_name(napi_env env, napi_callback_info info)
{
	return integer_result(env, socket_name(env, info, getpeername));
}

/* shutdown(fd, how) */
static napi_value shutdown_socket(napi_env env, napi_callback_info info)
{
	int32_t arguments[2];

	if (!read_arguments(env, info, 2, arguments))
		return integer_result(env, -EINVAL);
	return integer_result(env, result_of(shutdown(arguments[0], arguments[1])));
}

/*
 * setOption(fd, level, name, offset, length): -EINVAL for an option that allowed-options.c doesn't list; the same holds
 * for the next three functions.
 */
static napi_value set_option(napi_env env, napi_callback_info info)
{
	int32_t arguments[5];
	struct native_state *state = read_arguments(env, info, 5, arguments);
	const void *memory;

	if (!state || !is_structure_to_set(arguments[1], arguments[2]))
		return integer_result(env, -EINVAL);
	memory = memory_at(state, arguments[3], arguments[4]);
	if (!memory)
		return integer_result(env, -EFAULT);
	return integer_result(
		env, result_of(setsockopt(arguments[0], arguments[1], arguments[2], memory, (socklen_t)arguments[4])));
}

/* getOption(fd, level, name, offset, length): the length of the stored part of the value. */
static napi_value get_option(napi_env env, napi_callback_info info)
{
	int32_t arguments[5];
	struct native_state *state = read_arguments(env, info, 5, arguments);
	socklen_t length;
	void *memory;

	if (!state || !is_structure_to_get(arguments[1], arguments[2]))
		return integer_result(env, -EINVAL);
	memory = memory_at(state, arguments[3], arguments[4]);
	if (!memory)
		return integer_result(env, -EFAULT);
	length = (socklen_t)arguments[4];
	if (getsockopt(arguments[0], arguments[1], arguments[2], memory, &length) < 0)
		return integer_result(env, -errno);
	return integer_result(env, (int32_t)length);
}

/* setOptionInteger(fd, level, name, value) */
static napi_value set_option_integer(napi_env env, napi_callback_info info)
{
	int32_t arguments[4];

	if (!read_arguments(env, info, 4, arguments) || !is_integer_option(arguments[1], arguments[2]))
		return integer_result(env, -EINVAL);
	return integer_result(env, result_of(setsockopt(arguments[0], arguments[1], arguments[2], &arguments[3],
							sizeof(arguments[3]))));
}

/* getOptionInteger(fd, level, name): the value. A negative value is not distinguishable from an errno. */
static napi_value get_option_integer(napi_env env, napi_callback_info info)
{
	int32_t arguments[3], value = 0;
	socklen_t length = sizeof(value);

	if (!read_arguments(env, info, 3, arguments) || !is_integer_option(arguments[1], arguments[2]))
		return integer_result(env, -EINVAL);
	if (getsockopt(arguments[0], arguments[1], arguments[2], &value, &length) < 0)
		return integer_result(env, -errno);
	return integer_result(env, value);
}

napi_value register_socket(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "socket", create_socket },
		{ "socketPair", create_socket_pair },
		{ "bind", bind_socket },
		{ "connect", connect_socket },
		{ "listen", listen_socket },
		{ "accept", accept_socket },
		{ "getSocketName", get_socket_name },
		{ "getPeerName", get_peer_name },
		{ "shutdown", shutdown_socket },
		{ "setOption", set_option },
		{ "getOption", get_option },
		{ "setOptionInteger", set_option_integer },
		{ "getOptionInteger", get_option_integer },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
