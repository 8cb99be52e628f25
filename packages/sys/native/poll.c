/*
 * Readiness of a descriptor on libuv's own loop, for programs that do not run a loop of ours.
 *
 * A poll is identified by a number that is never reused, so that a wrong or late one is an error and nothing worse.
 */
#include "native.h"

#include <stdlib.h>

/* From <uv.h>, which the Node-API headers do not ship: stable, and exported by every node executable. */
struct uv_loop_s;
struct uv_handle_s;
struct uv_poll_s;
enum { UV_POLL = 8 };
enum { UV_READABLE = 1 };
extern size_t uv_handle_size(int type);
extern void uv_handle_set_data(struct uv_handle_s *handle, void *data);
extern void *uv_handle_get_data(const struct uv_handle_s *handle);
extern void uv_close(struct uv_handle_s *handle, void (*closed)(struct uv_handle_s *handle));
extern int uv_poll_init(struct uv_loop_s *loop, struct uv_poll_s *handle, int descriptor);
extern int uv_poll_start(struct uv_poll_s *handle, int events,
			 void (*ready)(struct uv_poll_s *handle, int status, int events));
extern int uv_poll_stop(struct uv_poll_s *handle);

struct poll {
	struct poll *next;
	struct native_state *state;
	napi_env env;
	napi_ref callback;
	napi_async_context context;
	napi_async_cleanup_hook_handle cleanup;
	struct uv_poll_s *handle;
	int32_t number;
};

static inline struct uv_handle_s *handle_of(const struct poll *poll)
{
	return (struct uv_handle_s *)(void *)poll->handle;
}

static struct poll *find_poll(const struct native_state *state, int32_t number)
{
	struct poll *poll = state->polls;

	while (poll && poll->number != number)
		poll = poll->next;
	return poll;
}

static void release_poll(struct poll *poll)
{
	if (poll->callback)
		napi_delete_reference(poll->env, poll->callback);
	if (poll->context)
		napi_async_destroy(poll->env, poll->context);
	free(poll->handle);
	free(poll);
}

static void call_back(struct uv_poll_s *handle, int status, int events)
{
	struct poll *poll = uv_handle_get_data((struct uv_handle_s *)(void *)handle);
	napi_env env = poll->env;
	napi_handle_scope scope;
	napi_value function, receiver, argument, error;

	if (napi_open_handle_scope(env, &scope) != napi_ok)
		return;
	if (napi_get_reference_value(env, poll->callback, &function) == napi_ok &&
	    napi_get_global(env, &receiver) == napi_ok &&
	    napi_create_int32(env, status < 0 ? status : events, &argument) == napi_ok &&
	    napi_make_callback(env, poll->context, receiver, function, 1, &argument, NULL) == napi_pending_exception &&
	    napi_get_and_clear_last_exception(env, &error) == napi_ok)
		napi_fatal_exception(env, error);
	napi_close_handle_scope(env, scope);
}

static void closed(struct uv_handle_s *handle)
{
	struct poll *poll = uv_handle_get_data(handle);
	napi_async_cleanup_hook_handle cleanup = poll->cleanup;
	napi_env env = poll->env;
	napi_handle_scope scope;

	if (napi_open_handle_scope(env, &scope) == napi_ok) {
		release_poll(poll);
		napi_close_handle_scope(env, scope);
	}
	/* When the environment shuts down, it waits for this. */
	if (cleanup)
		napi_remove_async_cleanup_hook(cleanup);
}

static void close_poll(struct poll *poll)
{
	struct poll **link = &poll->state->polls;

	while (*link && *link != poll)
		link = &(*link)->next;
	if (!*link)
		return;
	*link = poll->next;
	uv_close(handle_of(poll), closed);
}

static void close_with_environment(napi_async_cleanup_hook_handle cleanup, void *data)
{
	(void)cleanup;
	close_poll(data);
}

/*
 * pollOpen(descriptor, callback): returns a number for the calls below. The callback receives the events of <uv.h>'s
 * uv_poll_event, or a negative errno; it is called only while the poll is active.
 */
static napi_value open_poll(napi_env env, napi_callback_info info)
{
	struct native_state *state = state_of(env);
	struct uv_loop_s *loop = NULL;
	napi_value values[2], name;
	napi_valuetype type;
	size_t given = 2;
	int32_t descriptor;
	struct poll *poll;
	int error;

	if (napi_get_cb_info(env, info, &given, values, NULL, NULL) != napi_ok || given < 2 ||
	    napi_get_value_int32(env, values[0], &descriptor) != napi_ok ||
	    napi_typeof(env, values[1], &type) != napi_ok || type != napi_function)
		return integer_result(env, -EINVAL);
	if (napi_get_uv_event_loop(env, &loop) != napi_ok)
		return integer_result(env, -ENOTSUP);
	poll = calloc(1, sizeof(*poll));
	if (!poll)
		return integer_result(env, -ENOMEM);
	poll->state = state;
	poll->env = env;
	poll->handle = calloc(1, uv_handle_size(UV_POLL));
	if (!poll->handle || napi_create_reference(env, values[1], 1, &poll->callback) != napi_ok ||
	    napi_create_string_utf8(env, "demiflow.poll", NAPI_AUTO_LENGTH, &name) != napi_ok ||
	    napi_async_init(env, NULL, name, &poll->context) != napi_ok) {
		release_poll(poll);
		return integer_result(env, -ENOMEM);
	}
	error = uv_poll_init(loop, poll->handle, descriptor);
	if (error) {
		release_poll(poll);
		return integer_result(env, error);
	}
	uv_handle_set_data(handle_of(poll), poll);
	poll->number = ++state->last_poll;
	poll->next = state->polls;
	state->polls = poll;
	napi_add_async_cleanup_hook(env, close_with_environment, poll, &poll->cleanup);
	return integer_result(env, poll->number);
}

/* pollSet(number, active): starts or stops calling back while the descriptor is readable. */
static napi_value set_poll(napi_env env, napi_callback_info info)
{
	int32_t arguments[2];
	struct native_state *state = read_arguments(env, info, 2, arguments);
	struct poll *poll;

	if (!state)
		return integer_result(env, -EINVAL);
	poll = find_poll(state, arguments[0]);
	if (!poll)
		return integer_result(env, -ENOENT);
	if (arguments[1])
		return integer_result(env, uv_poll_start(poll->handle, UV_READABLE, call_back));
	return integer_result(env, uv_poll_stop(poll->handle));
}

/* pollClose(number): must come before the descriptor is closed. */
static napi_value end_poll(napi_env env, napi_callback_info info)
{
	int32_t number;
	struct native_state *state = read_arguments(env, info, 1, &number);
	struct poll *poll;

	if (!state)
		return integer_result(env, -EINVAL);
	poll = find_poll(state, number);
	if (!poll)
		return integer_result(env, -ENOENT);
	close_poll(poll);
	return integer_result(env, 0);
}

napi_value register_poll(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "pollOpen", open_poll },
		{ "pollSet", set_poll },
		{ "pollClose", end_poll },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
