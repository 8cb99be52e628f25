/* Descriptors and processes: calls that apply to all descriptors, and the few that start from none. */
#include "native.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* open(path, flags, mode): O_CLOEXEC is always set. The path is a string of at most 4,095 bytes. */
static napi_value open_path(napi_env env, napi_callback_info info)
{
	char path[4096];
	napi_value values[3];
	size_t given = 3, length;
	int32_t flags, mode;
	int descriptor;

	if (napi_get_cb_info(env, info, &given, values, NULL, NULL) != napi_ok || given < 3 ||
	    napi_get_value_string_utf8(env, values[0], NULL, 0, &length) != napi_ok ||
	    napi_get_value_int32(env, values[1], &flags) != napi_ok ||
	    napi_get_value_int32(env, values[2], &mode) != napi_ok)
		return integer_result(env, -EINVAL);
	if (length >= sizeof(path))
		return integer_result(env, -ENAMETOOLONG);
	if (napi_get_value_string_utf8(env, values[0], path, sizeof(path), &length) != napi_ok ||
	    strlen(path) != length)
		return integer_result(env, -EINVAL);
	do {
		descriptor = open(path, flags | O_CLOEXEC, (mode_t)mode);
	} while (descriptor < 0 && errno == EINTR);
	return descriptor_result(env, result_of(descriptor));
}

/* Reads a folder's descriptor and a name in it, of at most 255 bytes; false if the arguments are something else. */
static bool read_name(napi_env env, napi_callback_info info, int32_t *folder, char name[256])
{
	napi_value values[2];
	size_t given = 2, length;

	return napi_get_cb_info(env, info, &given, values, NULL, NULL) == napi_ok && given == 2 &&
	       napi_get_value_int32(env, values[0], folder) == napi_ok &&
	       napi_get_value_string_utf8(env, values[1], NULL, 0, &length) == napi_ok && length > 0 && length < 256 &&
	       napi_get_value_string_utf8(env, values[1], name, 256, &length) == napi_ok && strlen(name) == length &&
	       !strchr(name, '/');
}

/*
 * identityAt(folder, name): "DEVICE:NUMBER" of the file with that name, itself if it is a symbolic link; or a negative
 * errno
 */
static napi_value identity_at(napi_env env, napi_callback_info info)
{
	char name[256], text[48];
	struct stat status;
	int32_t folder;
	napi_value value;

	if (!read_name(env, info, &folder, name))
		return integer_result(env, -EINVAL);
	if (status_at(folder, name, &status, AT_SYMLINK_NOFOLLOW))
		return integer_result(env, -errno);
	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)status.st_dev, (unsigned long long)status.st_ino);
	if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) != napi_ok)
		return integer_result(env, -ENOMEM);
	return value;
}

/* unlinkAt(folder, name): removes a file's name from a folder. */
static napi_value unlink_at(napi_env env, napi_callback_info info)
{
	char name[256];
	int32_t folder;

	if (!read_name(env, info, &folder, name))
		return integer_result(env, -EINVAL);
	return integer_result(env, result_of(unlinkat(folder, name, 0)));
}

/* close(fd): Linux has released the descriptor even when it reports EINTR, so that counts as success. */
static napi_value close_descriptor(napi_env env, napi_callback_info info)
{
	int32_t descriptor, result;
	struct native_state *state = read_arguments(env, info, 1, &descriptor);

	if (!state)
		return integer_result(env, -EINVAL);
	/* Before it is closed: another thread may get the number. */
	forget_descriptor(state, descriptor);
	result = result_of(close(descriptor));
	return integer_result(env, result == -EINTR ? 0 : result);
}

/* read() if `position` is NULL, pread() otherwise */
static napi_value read_to_arena(napi_env env, struct native_state *state, const int32_t *arguments,
				const int32_t *position)
{
	void *memory = memory_at(state, arguments[1], arguments[2]);
	ssize_t length;

	if (!memory)
		return integer_result(env, -EFAULT);
	do {
		length = position ? pread(arguments[0], memory, (size_t)arguments[2], *position) :
				    read(arguments[0], memory, (size_t)arguments[2]);
	} while (length < 0 && errno == EINTR);
	return integer_result(env, result_of(length));
}

/* read(fd, offset, length) */
static napi_value read_bytes(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);

	return state ? read_to_arena(env, state, arguments, NULL) : integer_result(env, -EINVAL);
}

/* readAt(fd, offset, length, position): pread(), without moving the descriptor's own position. */
static napi_value read_bytes_at(napi_env env, napi_callback_info info)
{
	int32_t arguments[4];
	struct native_state *state = read_arguments(env, info, 4, arguments);

	return state ? read_to_arena(env, state, arguments, &arguments[3]) : integer_result(env, -EINVAL);
}

/* write(fd, offset, length) */
static napi_value write_bytes(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);
	const void *memory;
	ssize_t length;

	if (!state)
		return integer_result(env, -EINVAL);
	memory = memory_at(state, arguments[1], arguments[2]);
	if (!memory)
		return integer_result(env, -EFAULT);
	do {
		length = write(arguments[0], memory, (size_t)arguments[2]);
	} while (length < 0 && errno == EINTR);
	return integer_result(env, result_of(length));
}

/* readVectors(fd, vectorOffset, count): readv() into (offset, length) pairs. */
static napi_value read_vectors(napi_env env, napi_callback_info info)
{
	int32_t arguments[3], error;
	struct native_state *state = read_arguments(env, info, 3, arguments);
	ssize_t length;

	if (!state)
		return integer_result(env, -EINVAL);
	error = translate_vectors(state, arguments[1], arguments[2]);
	if (error)
		return integer_result(env, error);
	do {
		length = readv(arguments[0], state->vectors, arguments[2]);
	} while (length < 0 && errno == EINTR);
	return integer_result(env, result_of(length));
}

/* writeVectors(fd, vectorOffset, count): writev() from (offset, length) pairs. */
static napi_value write_vectors(napi_env env, napi_callback_info info)
{
	int32_t arguments[3], error;
	struct native_state *state = read_arguments(env, info, 3, arguments);
	ssize_t length;

	if (!state)
		return integer_result(env, -EINVAL);
	error = translate_vectors(state, arguments[1], arguments[2]);
	if (error)
		return integer_result(env, error);
	do {
		length = writev(arguments[0], state->vectors, arguments[2]);
	} while (length < 0 && errno == EINTR);
	return integer_result(env, result_of(length));
}

/*
 * ioctl(fd, request, offset): the request's structure lies at `offset`. -EINVAL for a request that allowed-options.c
 * doesn't list; the same holds for the next two functions.
 */
static napi_value ioctl_structure(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);
	size_t length;
	void *memory;

	if (!state)
		return integer_result(env, -EINVAL);
	length = structure_of_request((uint32_t)arguments[1]);
	if (length == 0)
		return integer_result(env, -EINVAL);
	memory = memory_at(state, arguments[2], (int64_t)length);
	if (!memory)
		return integer_result(env, -EFAULT);
	return integer_result(env, result_of(ioctl(arguments[0], (unsigned long)(uint32_t)arguments[1], memory)));
}

/* ioctlGetInteger(fd, request): for requests that fill in one int. */
static napi_value ioctl_get_integer(napi_env env, napi_callback_info info)
{
	int32_t arguments[2], value = 0;

	if (!read_arguments(env, info, 2, arguments) || !is_request_for_integer((uint32_t)arguments[1]))
		return integer_result(env, -EINVAL);
	if (ioctl(arguments[0], (unsigned long)(uint32_t)arguments[1], &value) < 0)
		return integer_result(env, -errno);
	return integer_result(env, value);
}

/* ioctlValue(fd, request, value): for requests whose argument is itself a number. */
static napi_value ioctl_value(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];

	if (!read_arguments(env, info, 3, arguments) || !is_request_with_number((uint32_t)arguments[1]))
		return integer_result(env, -EINVAL);
	return integer_result(env, result_of(ioctl(arguments[0], (unsigned long)(uint32_t)arguments[1],
						   (unsigned long)(uint32_t)arguments[2])));
}

/*
 * fileControl(fd, command, value): fcntl() for the commands whose argument is a number: F_DUPFD_CLOEXEC, and flags and
 * pipe sizes, read and set.
 */
static napi_value file_control(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];

	if (!read_arguments(env, info, 3, arguments))
		return integer_result(env, -EINVAL);
	switch (arguments[1]) {
	case F_DUPFD_CLOEXEC:
		return descriptor_result(env, result_of(fcntl(arguments[0], arguments[1], arguments[2])));
	case F_GETFD:
	case F_SETFD:
	case F_GETFL:
	case F_SETFL:
	case F_GETPIPE_SZ:
	case F_SETPIPE_SZ:
		return integer_result(env, result_of(fcntl(arguments[0], arguments[1], arguments[2])));
	default:
		return integer_result(env, -EINVAL);
	}
}

/* createPipe(offset): non-blocking and closed on exec; the reading and the writing descriptor as int32 at `offset`. */
static napi_value create_pipe(napi_env env, napi_callback_info info)
{
	int32_t offset;
	struct native_state *state = read_arguments(env, info, 1, &offset);
	uint8_t *memory;
	int pair[2];

	if (!state)
		return integer_result(env, -EINVAL);
	memory = memory_at(state, offset, 8);
	if (!memory)
		return integer_result(env, -EFAULT);
	if (pipe2(pair, O_NONBLOCK | O_CLOEXEC) < 0)
		return integer_result(env, -errno);
	record_descriptor(state, pair[0]);
	record_descriptor(state, pair[1]);
	store_int32(memory, pair[0]);
	store_int32(memory + 4, pair[1]);
	return integer_result(env, 0);
}

/* createEvent(initial): an eventfd, non-blocking and closed on exec; read and written as 8 bytes. */
static napi_value create_event(napi_env env, napi_callback_info info)
{
	int32_t initial;

	if (!read_arguments(env, info, 1, &initial) || initial < 0)
		return integer_result(env, -EINVAL);
	return descriptor_result(env, result_of(eventfd((unsigned int)initial, EFD_NONBLOCK | EFD_CLOEXEC)));
}

/* getRandom(offset, length): fills the range with bytes from the kernel's generator. */
static napi_value get_random(napi_env env, napi_callback_info info)
{
	int32_t arguments[2];
	struct native_state *state = read_arguments(env, info, 2, arguments);
	size_t done = 0, length;
	uint8_t *memory;

	if (!state)
		return integer_result(env, -EINVAL);
	memory = memory_at(state, arguments[0], arguments[1]);
	if (!memory)
		return integer_result(env, -EFAULT);
	length = (size_t)arguments[1];
	while (done < length) {
		ssize_t got = getrandom(memory + done, length - done, 0);

		if (got < 0) {
			if (errno == EINTR)
				continue;
			return integer_result(env, -errno);
		}
		done += (size_t)got;
	}
	return integer_result(env, 0);
}

/* pidfdOpen(pid): a descriptor that is readable when the process has ended. */
static napi_value pidfd_open_process(napi_env env, napi_callback_info info)
{
	int32_t process;

	if (!read_arguments(env, info, 1, &process))
		return integer_result(env, -EINVAL);
	return descriptor_result(env, result_of(syscall(SYS_pidfd_open, process, 0)));
}

/*
 * waitPid(pid, options, statusOffset): waitpid() for one child; its wait status as int32 at `statusOffset`. Not for
 * "any child", which would take the runtime's own children.
 */
static napi_value wait_process(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);
	uint8_t *memory;
	pid_t ended;
	int status = 0;

	if (!state || arguments[0] <= 0)
		return integer_result(env, -EINVAL);
	memory = memory_at(state, arguments[2], 4);
	if (!memory)
		return integer_result(env, -EFAULT);
	do {
		ended = waitpid(arguments[0], &status, arguments[1]);
	} while (ended < 0 && errno == EINTR);
	if (ended > 0)
		store_int32(memory, status);
	return integer_result(env, result_of(ended));
}

/* kill(pid, signal): one process, or with a negative pid (not -1) its group. */
static napi_value kill_process(napi_env env, napi_callback_info info)
{
	int32_t arguments[2];

	if (!read_arguments(env, info, 2, arguments) || arguments[0] == 0 || arguments[0] == -1)
		return integer_result(env, -EINVAL);
	return integer_result(env, result_of(kill(arguments[0], arguments[1])));
}

napi_value register_file(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "open", open_path },
		{ "close", close_descriptor },
		{ "identityAt", identity_at },
		{ "unlinkAt", unlink_at },
		{ "read", read_bytes },
		{ "readAt", read_bytes_at },
		{ "write", write_bytes },
		{ "readVectors", read_vectors },
		{ "writeVectors", write_vectors },
		{ "ioctl", ioctl_structure },
		{ "ioctlGetInteger", ioctl_get_integer },
		{ "ioctlValue", ioctl_value },
		{ "fileControl", file_control },
		{ "createPipe", create_pipe },
		{ "createEvent", create_event },
		{ "getRandom", get_random },
		{ "pidfdOpen", pidfd_open_process },
		{ "waitPid", wait_process },
		{ "kill", kill_process },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
