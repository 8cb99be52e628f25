/* Registration: one state per environment, and the functions of every file. */
#include "native.h"

#include <stdlib.h>

void add_functions(napi_env env, napi_value exports, const struct native_function *functions, size_t count)
{
	struct native_state *state = state_of(env);

	for (size_t i = 0; i < count; i++) {
		napi_value function;

		if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call, state, &function) !=
			    napi_ok ||
		    napi_set_named_property(env, exports, functions[i].name, function) != napi_ok)
			return;
	}
}

struct native_state *read_arguments(napi_env env, napi_callback_info info, size_t count, int32_t *arguments)
{
	napi_value values[8];
	size_t given = 8;
	void *state;

	if (napi_get_cb_info(env, info, &given, values, NULL, &state) != napi_ok || given < count)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		if (napi_get_value_int32(env, values[i], &arguments[i]) != napi_ok)
			return NULL;
	}
	leave_lost_arena(env, state);
	return state;
}

struct native_state *state_of(napi_env env)
{
	void *state = NULL;

	if (napi_get_instance_data(env, &state) != napi_ok)
		return NULL;
	leave_lost_arena(env, state);
	return state;
}

napi_value integer_result(napi_env env, int32_t result)
{
	napi_value value = NULL;

	napi_create_int32(env, result, &value);
	return value;
}

static void release_state(napi_env env, void *data, void *hint)
{
	struct native_state *state = data;

	(void)hint;
	if (state->arena_reference)
		napi_delete_reference(env, state->arena_reference);
	close_recorded_descriptors(state);
	release_rings(state);
	free(state);
}

static napi_value initialise(napi_env env, napi_value exports)
{
	struct native_state *state = calloc(1, sizeof(*state));

	if (!state) {
		napi_throw_error(env, "ENOMEM", "Not enough memory to load the native addon");
		return NULL;
	}
	note_thread(state);
	if (napi_set_instance_data(env, state, release_state, NULL) != napi_ok) {
		free(state);
		napi_throw_error(env, "ERR_NATIVE", "The native addon could not register with this runtime");
		return NULL;
	}
	register_arena(env, exports);
	register_calls(env, exports);
	register_checksum(env, exports);
	register_epoll(env, exports);
	register_file(env, exports);
	register_frames(env, exports);
	register_message(env, exports);
	register_namespace(env, exports);
	register_poll(env, exports);
	register_refusals(env, exports);
	register_rings(env, exports);
	register_socket(env, exports);
	register_spawn(env, exports);
	register_splice(env, exports);
	register_terminal(env, exports);
	return exports;
}

NAPI_MODULE(NODE_GYP_MODULE_NAME, initialise)
