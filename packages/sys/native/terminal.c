/* Which process group is in the foreground of a terminal. */
#include "native.h"

#include <signal.h>
#include <unistd.h>

/* isForeground(terminalDescriptor): 1 if this process's group is the terminal's foreground group, else 0; -errno */
static napi_value is_foreground(napi_env env, napi_callback_info info)
{
	int32_t terminal;
	pid_t group;

	if (!read_arguments(env, info, 1, &terminal))
		return integer_result(env, -EINVAL);
	group = tcgetpgrp(terminal);
	return integer_result(env, group < 0 ? -errno : group == getpgrp());
}

/*
 * reclaimForeground(terminalDescriptor): 1 if the foreground group was gone and this process's took its place, else 0
 */
static napi_value reclaim_foreground(napi_env env, napi_callback_info info)
{
	sigset_t stop, before;
	int32_t terminal;
	pid_t group;
	int result;

	if (!read_arguments(env, info, 1, &terminal))
		return integer_result(env, -EINVAL);
	group = tcgetpgrp(terminal);
	if (group < 0)
		return integer_result(env, -errno);
	if (group == getpgrp() || (group > 0 && (!kill(-group, 0) || errno != ESRCH)))
		return integer_result(env, 0);

	sigemptyset(&stop);
	sigaddset(&stop, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &stop, &before);
	result = tcsetpgrp(terminal, getpgrp()) < 0 ? -errno : 1;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return integer_result(env, result);
}

/* Adds the functions of this file to the addon's exports. */
napi_value register_terminal(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "isForeground", is_foreground },
		{ "reclaimForeground", reclaim_foreground },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
