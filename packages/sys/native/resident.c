/*
 * Threads that live in another network namespace.
 *
 * Entering a namespace takes privileges over it (CAP_SYS_ADMIN), which a program gives up once it is set up. A thread
 * that has entered beforehand needs none to make sockets there, also after the C library has changed user and groups of
 * all threads. It sleeps between visits, and never runs while the thread that asks it does.
 *
 * A resident is named by a number that is never used again, so that a wrong or late one is an error and nothing worse.
 */
#include "native.h"

#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>

struct resident {
	struct resident *next;
	int32_t number;
	pthread_t thread;
	/* Posted by the one who asks: there is something to do. By the resident: it is done. */
	sem_t asked, answered;
	/* Before the first answer: where to live. */
	int namespace_descriptor;
	/* What to make, or NULL as the place for it: to end. */
	int domain, type, protocol, count;
	uint8_t *descriptors;
	int32_t result;
};

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) && errno == EINTR)
		;
}

/* Answers how many sockets were made, or why not even one. */
static int32_t make_sockets(const struct resident *resident)
{
	int made, descriptor;

	for (made = 0; made < resident->count; made++) {
		descriptor = socket(resident->domain, resident->type | SOCK_NONBLOCK | SOCK_CLOEXEC, resident->protocol);
		if (descriptor < 0)
			return made > 0 ? made : -errno;
		store_int32(resident->descriptors + made * 4, descriptor);
	}
	return made;
}

static void *reside(void *argument)
{
	struct resident *resident = argument;
	const bool entered = !setns(resident->namespace_descriptor, CLONE_NEWNET);

	resident->result = entered ? 0 : -errno;
	sem_post(&resident->answered);
	if (!entered)
		return NULL;
	for (;;) {
		wait_for(&resident->asked);
		if (!resident->descriptors)
			return NULL;
		resident->result = make_sockets(resident);
		sem_post(&resident->answered);
	}
}

static void release_resident(struct resident *resident)
{
	sem_destroy(&resident->asked);
	sem_destroy(&resident->answered);
	free(resident);
}

/* Where the pointer to a resident is, or NULL. */
static struct resident **find_resident(struct native_state *state, int32_t number)
{
	struct resident **link = &state->residents;

	while (*link && (*link)->number != number)
		link = &(*link)->next;
	return *link ? link : NULL;
}

static void end_resident(struct resident **link)
{
	struct resident *resident = *link;

	*link = resident->next;
	resident->descriptors = NULL;
	sem_post(&resident->asked);
	pthread_join(resident->thread, NULL);
	release_resident(resident);
}

void end_residents(struct native_state *state)
{
	while (state->residents)
		end_resident(&state->residents);
}

/* residentOpen(namespaceDescriptor): a number for the calls below or -errno */
static napi_value open_resident(napi_env env, napi_callback_info info)
{
	int32_t descriptor, result;
	struct native_state *state = read_arguments(env, info, 1, &descriptor);
	struct resident *resident;
	int error;

	if (!state)
		return integer_result(env, -EINVAL);
	resident = calloc(1, sizeof(*resident));
	if (!resident)
		return integer_result(env, -ENOMEM);
	sem_init(&resident->asked, 0, 0);
	sem_init(&resident->answered, 0, 0);
	resident->namespace_descriptor = descriptor;
	error = start_quiet_thread(&resident->thread, reside, resident);
	if (error) {
		release_resident(resident);
		return integer_result(env, -error);
	}
	wait_for(&resident->answered);
	result = resident->result;
	if (result < 0) {
		pthread_join(resident->thread, NULL);
		release_resident(resident);
		return integer_result(env, result);
	}
	resident->number = ++state->last_resident;
	resident->next = state->residents;
	state->residents = resident;
	return integer_result(env, resident->number);
}

/*
 * residentSockets(number, domain, type, protocol, offset, count): makes up to `count` sockets, non-blocking and closed on
 * exec, and stores their descriptors as int32. Answers how many, or a negative errno if not even one could be made.
 */
static napi_value ask_resident(napi_env env, napi_callback_info info)
{
	int32_t arguments[6];
	struct native_state *state = read_arguments(env, info, 6, arguments);
	struct resident **link, *resident;
	uint8_t *descriptors;

	if (!state || arguments[5] < 0 || arguments[5] > MAXIMUM_VECTORS)
		return integer_result(env, -EINVAL);
	descriptors = memory_at(state, arguments[4], (int64_t)arguments[5] * 4);
	if (!descriptors)
		return integer_result(env, -EFAULT);
	link = find_resident(state, arguments[0]);
	if (!link)
		return integer_result(env, -EBADF);
	resident = *link;
	resident->domain = arguments[1];
	resident->type = arguments[2];
	resident->protocol = arguments[3];
	resident->descriptors = descriptors;
	resident->count = arguments[5];
	sem_post(&resident->asked);
	wait_for(&resident->answered);
	return integer_result(env, resident->result);
}

/* residentClose(number): ends the thread; sockets that it made stay. */
static napi_value close_resident(napi_env env, napi_callback_info info)
{
	int32_t number;
	struct native_state *state = read_arguments(env, info, 1, &number);
	struct resident **link;

	if (!state)
		return integer_result(env, -EINVAL);
	link = find_resident(state, number);
	if (!link)
		return integer_result(env, -EBADF);
	end_resident(link);
	return integer_result(env, 0);
}

/* Adds the functions of this file to the addon's exports. */
napi_value register_resident(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "residentOpen", open_resident },
		{ "residentSockets", ask_resident },
		{ "residentClose", close_resident },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
