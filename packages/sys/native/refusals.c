/*
 * Handles system calls that a filter refuses with a signal (SECCOMP_RET_TRAP): the call returns an error, and is
 * counted. The handler runs on the thread that made the call, so it uses only static memory and the arena, and one
 * system call.
 */
#include "native.h"

#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

/* Numbers start at 0; Linux has about 470 (7.0). The same in refusals.ts. */
#define REFUSABLE_CALLS 512

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

/* One for the process, like the signal's action: a counter for each call. */
static struct {
	uint8_t *counts;
	int event;
} refusals = { .event = -1 };

static void set_result(ucontext_t *context, int32_t result)
{
#if defined(__x86_64__)
	context->uc_mcontext.gregs[REG_RAX] = result;
#elif defined(__aarch64__)
	context->uc_mcontext.regs[0] = (unsigned long long)(long long)result;
#else
	(void)context;
	(void)result;
#endif
}

static void refuse(int signal, siginfo_t *info, void *context)
{
	const int error = errno;
	const uint64_t one = 1;

	(void)signal;
	if (info->si_code != SYS_SECCOMP)
		return;
	set_result(context, -EPERM);
	if (info->si_syscall >= 0 && info->si_syscall < REFUSABLE_CALLS) {
		uint8_t *const count = refusals.counts + 4 * info->si_syscall;

		store_int32(count, load_int32(count) + 1);
	}
	/* The counter is full, so the eventfd is readable already. */
	if (write(refusals.event, &one, sizeof(one)) < 0)
		errno = error;
	errno = error;
}

/*
 * catchRefusals(event, offset): from now on a call that a filter refuses with SIGSYS returns EPERM. It adds 1 to an
 * eventfd, and to the call's own counter, an int32 at the offset for each number from 0 to 511. At most once a process:
 * the arena has to stay.
 */
static napi_value catch_refusals(napi_env env, napi_callback_info info)
{
	int32_t arguments[2];
	struct native_state *state = read_arguments(env, info, 2, arguments);
	struct sigaction action = { .sa_sigaction = refuse, .sa_flags = SA_SIGINFO | SA_NODEFER };
	uint8_t *counts;

	if (!state)
		return integer_result(env, -EINVAL);
	counts = memory_at(state, arguments[1], 4 * REFUSABLE_CALLS);
	if (!counts)
		return integer_result(env, -EFAULT);
	refusals.event = arguments[0];
	refusals.counts = counts;
	sigemptyset(&action.sa_mask);
	return integer_result(env, result_of(sigaction(SIGSYS, &action, NULL)));
}

/* Adds the functions of this file to the addon's exports. */
napi_value register_refusals(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "catchRefusals", catch_refusals },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
