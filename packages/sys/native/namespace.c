/*
 * Calls made inside another network namespace.
 *
 * A thread that enters a namespace may not be allowed back: leaving needs CAP_SYS_ADMIN over the namespace that it came
 * from, which an ordinary user lacks. So a thread created for one call enters, calls, and ends. What it opened stays: a
 * socket, and a tap device's descriptor, belong to the namespace in which they were opened. Where sockets are opened
 * all the time, or this process must stay out of reach of those inside, a process of its own enters: namespace-helper.
 */
#include "native.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

/*
 * Enough for setns, open and socket, and for the thread-local variables of the runtime, which the C library puts there.
 */
#define THREAD_STACK_BYTES (256 * 1024)

/* One visit: its arguments and, afterwards, a descriptor or a negative errno. */
struct request {
	int namespace_descriptor;
	const char *path; /* path to open; NULL: make a socket */
	int first, second, third;
	int result;
};

static void carry_out(struct request *request)
{
	int descriptor;

	if (request->path)
		descriptor = open(request->path, request->first | O_CLOEXEC);
	else
		descriptor = socket(request->first, request->second | SOCK_CLOEXEC, request->third);
	request->result = descriptor < 0 ? -errno : descriptor;
}

/* Starts a thread with a small stack. Signals stay with the runtime's threads. Returns 0 or an errno. */
static int start_quiet_thread(pthread_t *thread, void *(*run)(void *argument), void *argument)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
	error = pthread_create(thread, &attributes, run, argument);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

static void *enter_and_carry_out(void *argument)
{
	struct request *request = argument;

	if (setns(request->namespace_descriptor, CLONE_NEWNET))
		request->result = -errno;
	else
		carry_out(request);
	return NULL;
}

/* Blocks until the call is done. */
static void run_in_namespace(struct request *request)
{
	pthread_t thread;
	int error;

	if (request->namespace_descriptor == -1) {
		carry_out(request);
		return;
	}
	error = start_quiet_thread(&thread, enter_and_carry_out, request);
	if (error)
		request->result = -error;
	else
		pthread_join(thread, NULL);
}

/* openInNamespace(namespaceDescriptor, path, flags): descriptor or -errno */
static napi_value open_in_namespace(napi_env env, napi_callback_info info)
{
	struct request request = { .result = -EINVAL };
	napi_value arguments[3];
	size_t count = 3, length = 0;
	char path[4096];

	if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 3 ||
	    napi_get_value_int32(env, arguments[0], &request.namespace_descriptor) != napi_ok ||
	    napi_get_value_string_utf8(env, arguments[1], path, sizeof(path), &length) != napi_ok ||
	    napi_get_value_int32(env, arguments[2], &request.first) != napi_ok)
		return integer_result(env, -EINVAL);
	if (length >= sizeof(path) - 1)
		return integer_result(env, -ENAMETOOLONG);

	request.path = path;
	run_in_namespace(&request);
	return descriptor_result(env, request.result);
}

/* socketInNamespace(namespaceDescriptor, domain, type, protocol): descriptor or -errno */
static napi_value socket_in_namespace(napi_env env, napi_callback_info info)
{
	struct request request = { .result = -EINVAL };
	int32_t arguments[4];

	if (!read_arguments(env, info, 4, arguments))
		return integer_result(env, -EINVAL);
	request.namespace_descriptor = arguments[0];
	request.first = arguments[1];
	request.second = arguments[2];
	request.third = arguments[3];

	run_in_namespace(&request);
	return descriptor_result(env, request.result);
}

/* Adds the functions of this file to the addon's exports. */
napi_value register_namespace(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "openInNamespace", open_in_namespace },
		{ "socketInNamespace", socket_in_namespace },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
