/*
 * Shared declarations of the addon.
 *
 * The addon is a thin layer over Linux system calls. It knows no protocol and makes no decisions; TypeScript does both.
 * Three conventions hold in every file:
 *
 *  - Arguments are 32-bit integers, and so are results: zero or more on success, a negative errno otherwise. Nothing on
 *    the data path throws.
 *  - All memory is one arena, an ArrayBuffer handed over once by attach(). Calls name memory by offset and length, and
 *    memory_at() is the only way from there to a pointer: what lies outside the arena is -EFAULT.
 *  - Integers in the arena are in host byte order unless the kernel's own structure says otherwise, and need no
 *    alignment.
 */
#ifndef DEMIFLOW_NATIVE_H
#define DEMIFLOW_NATIVE_H

/* Must come before any system header, so every file includes this header first. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef NAPI_VERSION
#define NAPI_VERSION 9
#endif

#include <errno.h>
#include <node_api.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The kernel's own limit for one readv(), writev(), sendmsg(), recvmmsg() … (UIO_MAXIOV). */
#define MAXIMUM_VECTORS 1024

struct poll;
struct ring_table;

/* One per environment: a worker thread that loads the addon has its own arena. */
struct native_state {
	uint8_t *arena;
	size_t arena_length;
	napi_ref arena_reference;
	/* In poll.c. */
	struct poll *polls;
	int32_t last_poll;
	/* In descriptors.c: a bit for each number. */
	uint64_t *descriptors;
	size_t descriptor_words;
	bool is_worker;
	/* In rings/calls.c; NULL until there is one. */
	struct ring_table *rings;
	/* Scratch for translating vectors and message tables; too large for the stack. */
	struct iovec vectors[MAXIMUM_VECTORS];
	struct mmsghdr messages[MAXIMUM_VECTORS];
};

struct native_function {
	const char *name;
	napi_callback call;
};

/* Adds a table of functions to `exports`; each is created with the native_state as its data. */
void add_functions(napi_env env, napi_value exports, const struct native_function *functions, size_t count);

#define ADD_FUNCTIONS(env, exports, table) add_functions(env, exports, table, sizeof(table) / sizeof((table)[0]))

/*
 * Reads exactly `count` (at most 8) integer arguments. Returns NULL when one is missing or not a number; the caller
 * then returns -EINVAL. Numbers beyond 32 bits wrap, so that ioctl requests over 2^31 arrive intact.
 */
struct native_state *read_arguments(napi_env env, napi_callback_info info, size_t count, int32_t *arguments);

/* The state behind a callback whose arguments are not all integers. */
struct native_state *state_of(napi_env env);

/*
 * Detaches the arena if its memory has been transferred to another ArrayBuffer (structuredClone(), postMessage(),
 * transfer()): calls return -EFAULT from then on. Both functions above check that, so every call works on memory that
 * exists. Costs 10 ns.
 */
void leave_lost_arena(napi_env env, struct native_state *state);

napi_value integer_result(napi_env env, int32_t result);

/* In descriptors.c: what a worker thread has opened is closed with it. */
void note_thread(struct native_state *state);
void record_descriptor(struct native_state *state, int32_t descriptor);
void forget_descriptor(struct native_state *state, int32_t descriptor);
/* Those that a received message has brought. */
void record_received_descriptors(struct native_state *state, const struct msghdr *message);
void close_recorded_descriptors(struct native_state *state);
/* A descriptor that was just opened, or a negative errno, as a result. */
napi_value descriptor_result(napi_env env, int32_t descriptor);

/* In rings/calls.c: unmaps all guest memory. */
void release_rings(struct native_state *state);

/* A system call's return value as a result: the value itself, or the negative errno. */
static inline int32_t result_of(ssize_t value)
{
	if (value < 0)
		return -errno;
	/* Longer transfers do not occur: every length passed in is an int32. */
	return value > INT32_MAX ? INT32_MAX : (int32_t)value;
}

/* True when [offset, offset + length) lies in the arena. */
static inline bool in_arena(const struct native_state *state, int64_t offset, int64_t length)
{
	return state->arena && offset >= 0 && length >= 0 && offset <= (int64_t)state->arena_length &&
	       length <= (int64_t)state->arena_length - offset;
}

/* The address of [offset, offset + length), or NULL when it is not wholly inside the arena. */
static inline void *memory_at(const struct native_state *state, int64_t offset, int64_t length)
{
	return in_arena(state, offset, length) ? state->arena + offset : NULL;
}

/* Tables in the arena may lie at any offset: memcpy() compiles to plain loads and stores, and stays defined. */
static inline int32_t load_int32(const uint8_t *at)
{
	int32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline void store_int32(uint8_t *at, int32_t value)
{
	memcpy(at, &value, sizeof(value));
}

/*
 * stat() and fstatat(), which glibc exports since 2.33 only: a compiled addon has to load with older ones as well. The
 * structure is the kernel's own on these architectures.
 */
static inline int status_at(int folder, const char *path, struct stat *status, int flags)
{
#if (defined(__x86_64__) && !defined(__ILP32__)) || defined(__aarch64__)
	return (int)syscall(SYS_newfstatat, folder, path, status, flags);
#else
	return fstatat(folder, path, status, flags);
#endif
}

/* In allowed-options.c: options whose value is an int; options and requests whose structure holds no address. */
bool is_integer_option(int32_t level, int32_t name);
bool is_structure_to_set(int32_t level, int32_t name);
bool is_structure_to_get(int32_t level, int32_t name);
/* Bytes of an ioctl() request's structure, or 0 if the request isn't allowed. */
size_t structure_of_request(uint32_t request);
bool is_request_for_integer(uint32_t request);
bool is_request_with_number(uint32_t request);

/*
 * Translates `count` pairs of int32 (offset, length) at `offset` into state->vectors. Returns 0, -EINVAL for a count
 * that is not between 0 and MAXIMUM_VECTORS, or -EFAULT.
 */
int32_t translate_vectors(struct native_state *state, int32_t offset, int32_t count);

napi_value register_arena(napi_env env, napi_value exports);
napi_value register_calls(napi_env env, napi_value exports);
napi_value register_checksum(napi_env env, napi_value exports);
napi_value register_epoll(napi_env env, napi_value exports);
napi_value register_file(napi_env env, napi_value exports);
napi_value register_frames(napi_env env, napi_value exports);
napi_value register_message(napi_env env, napi_value exports);
napi_value register_namespace(napi_env env, napi_value exports);
napi_value register_poll(napi_env env, napi_value exports);
napi_value register_refusals(napi_env env, napi_value exports);
napi_value register_rings(napi_env env, napi_value exports);
napi_value register_socket(napi_env env, napi_value exports);
napi_value register_spawn(napi_env env, napi_value exports);
napi_value register_splice(napi_env env, napi_value exports);
napi_value register_terminal(napi_env env, napi_value exports);

#endif
