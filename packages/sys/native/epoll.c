/* epoll, and the calls that let a loop of ours give libuv its turn. */
#include "native.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * From <uv.h>, which the Node-API headers do not ship. These symbols are part of libuv's stable interface and exported
 * by every node executable.
 */
struct uv_loop_s;
extern int uv_backend_fd(const struct uv_loop_s *loop);
extern int uv_backend_timeout(const struct uv_loop_s *loop);
extern int uv_loop_alive(const struct uv_loop_s *loop);
extern void uv_update_time(struct uv_loop_s *loop);

/* More than this in one batch has no benefit: the loop comes back for the rest. */
#define MAXIMUM_EVENTS 256

/* Number of the system call on every architecture: added after the tables were unified. */
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

static napi_value create_epoll(napi_env env, napi_callback_info info)
{
	(void)info;
	return descriptor_result(env, result_of(epoll_create1(EPOLL_CLOEXEC)));
}

/* epollControl(epoll, operation, fd, events, token): the token comes back with each event. */
static napi_value control_epoll(napi_env env, napi_callback_info info)
{
	int32_t arguments[5];
	struct epoll_event event = { 0 };

	if (!read_arguments(env, info, 5, arguments))
		return integer_result(env, -EINVAL);
	event.events = (uint32_t)arguments[3];
	event.data.u64 = (uint32_t)arguments[4];
	return integer_result(env, result_of(epoll_ctl(arguments[0], arguments[1], arguments[2], &event)));
}

/* Stores the events as pairs of int32 (events, token). An interrupted wait counts as no events. */
static int32_t store_events(uint8_t *at, const struct epoll_event *events, int count)
{
	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < count; i++, at += 8) {
		store_int32(at, (int32_t)events[i].events);
		store_int32(at + 4, (int32_t)events[i].data.u32);
	}
	return count;
}

/* epollWait(epoll, offset, maximum, timeoutMilliseconds): -1 waits for ever. */
static napi_value wait_milliseconds(napi_env env, napi_callback_info info)
{
	int32_t arguments[4];
	struct native_state *state = read_arguments(env, info, 4, arguments);
	struct epoll_event events[MAXIMUM_EVENTS];
	int32_t maximum;
	uint8_t *memory;

	if (!state || arguments[2] <= 0)
		return integer_result(env, -EINVAL);
	maximum = arguments[2] < MAXIMUM_EVENTS ? arguments[2] : MAXIMUM_EVENTS;
	memory = memory_at(state, arguments[1], (int64_t)maximum * 8);
	if (!memory)
		return integer_result(env, -EFAULT);
	return integer_result(env,
			      store_events(memory, events, epoll_wait(arguments[0], events, maximum, arguments[3])));
}

/*
 * epollWaitMicroseconds(epoll, offset, maximum, timeoutMicroseconds): -1 waits for ever. Kernels before 5.11 have no
 * epoll_pwait2(); the timeout is then rounded up to a millisecond, so that it is never early.
 */
static napi_value wait_microseconds(napi_env env, napi_callback_info info)
{
	static int missing;
	int32_t arguments[4];
	struct native_state *state = read_arguments(env, info, 4, arguments);
	struct epoll_event events[MAXIMUM_EVENTS];
	int32_t maximum, timeout;
	uint8_t *memory;
	int count = -1;

	if (!state || arguments[2] <= 0)
		return integer_result(env, -EINVAL);
	maximum = arguments[2] < MAXIMUM_EVENTS ? arguments[2] : MAXIMUM_EVENTS;
	memory = memory_at(state, arguments[1], (int64_t)maximum * 8);
	if (!memory)
		return integer_result(env, -EFAULT);
	timeout = arguments[3];
	if (timeout > 0 && !__atomic_load_n(&missing, __ATOMIC_RELAXED)) {
		struct timespec duration = { .tv_sec = timeout / 1000000, .tv_nsec = timeout % 1000000 * 1000L };

		count = (int)syscall(SYS_epoll_pwait2, arguments[0], events, maximum, &duration, NULL, (size_t)0);
		/* EPERM comes from a system call filter older than the call. */
		if (count >= 0 || (errno != ENOSYS && errno != EPERM))
			return integer_result(env, store_events(memory, events, count));
		__atomic_store_n(&missing, 1, __ATOMIC_RELAXED);
	}
	if (timeout > 0)
		timeout = timeout / 1000 + (timeout % 1000 != 0);
	count = epoll_wait(arguments[0], events, maximum, timeout);
	return integer_result(env, store_events(memory, events, count));
}

/* yieldProcessor(): lets other processes that are ready to run on this processor go first. */
static napi_value yield_processor(napi_env env, napi_callback_info info)
{
	(void)info;
	return integer_result(env, result_of(sched_yield()));
}

static struct uv_loop_s *loop_of(napi_env env)
{
	struct uv_loop_s *loop = NULL;

	if (napi_get_uv_event_loop(env, &loop) != napi_ok)
		return NULL;
	return loop;
}

/* loopDescriptor(): libuv's own epoll descriptor; readable when libuv has work. */
static napi_value loop_descriptor(napi_env env, napi_callback_info info)
{
	struct uv_loop_s *loop = loop_of(env);

	(void)info;
	return integer_result(env, loop ? uv_backend_fd(loop) : -ENOTSUP);
}

/*
 * loopTimeout(): milliseconds until libuv wants a turn by itself, 0 for at once (pending immediates, closing handles,
 * due timers, descriptors not yet registered with the kernel), -1 for never. libuv counts from its last reading of the
 * clock, so it is made to read the clock first.
 */
static napi_value loop_timeout(napi_env env, napi_callback_info info)
{
	struct uv_loop_s *loop = loop_of(env);
	napi_value value = NULL;
	int timeout = -1;

	(void)info;
	/* For a loop without anything to wait for, uv_backend_timeout() says 0. */
	if (loop && uv_loop_alive(loop)) {
		uv_update_time(loop);
		timeout = uv_backend_timeout(loop);
	}
	napi_create_int32(env, timeout, &value);
	return value;
}

napi_value register_epoll(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "epollCreate", create_epoll },
		{ "epollControl", control_epoll },
		{ "epollWait", wait_milliseconds },
		{ "epollWaitMicroseconds", wait_microseconds },
		{ "yieldProcessor", yield_processor },
		{ "loopDescriptor", loop_descriptor },
		{ "loopTimeout", loop_timeout },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
