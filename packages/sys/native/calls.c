/* The kernel's means of giving up privileges: numbers of system calls, for filters, and Landlock's version. */
#include "native.h"

#include <linux/audit.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(__ILP32__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && !defined(__ILP32__) && defined(__AARCH64EL__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef ARCHITECTURE

/* For headers older than the kernel. */
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_io_uring_enter
#define SYS_io_uring_enter 426
#endif
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifndef SYS_rseq
#ifdef __x86_64__
#define SYS_rseq 334
#else
#define SYS_rseq 293
#endif
#endif

/* 64-bit ARM has only the newer replacements of these. */
#ifdef __aarch64__
#define SYS_epoll_wait -1
#define SYS_fork -1
#define SYS_getpgrp -1
#define SYS_poll -1
#define SYS_vfork -1
#endif

#endif

/* The same number on all architectures. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#define LANDLOCK_VERSION 1u

struct call {
	const char *name;
	int32_t number;
};

/* All calls that a filter may name. Those that this architecture lacks have a negative number. */
static const struct call calls[] = {
#ifdef ARCHITECTURE
	{ "accept4", SYS_accept4 },
	{ "bind", SYS_bind },
	{ "brk", SYS_brk },
	{ "clock_gettime", SYS_clock_gettime },
	{ "clock_nanosleep", SYS_clock_nanosleep },
	{ "clone", SYS_clone },
	{ "clone3", SYS_clone3 },
	{ "close", SYS_close },
	{ "connect", SYS_connect },
	{ "epoll_create1", SYS_epoll_create1 },
	{ "epoll_ctl", SYS_epoll_ctl },
	{ "epoll_pwait", SYS_epoll_pwait },
	{ "epoll_pwait2", SYS_epoll_pwait2 },
	{ "epoll_wait", SYS_epoll_wait },
	{ "eventfd2", SYS_eventfd2 },
	{ "exit", SYS_exit },
	{ "exit_group", SYS_exit_group },
	{ "fcntl", SYS_fcntl },
	{ "fork", SYS_fork },
	{ "fstat", SYS_fstat },
	{ "ftruncate", SYS_ftruncate },
	{ "futex", SYS_futex },
	{ "getpeername", SYS_getpeername },
	{ "getpgid", SYS_getpgid },
	{ "getpgrp", SYS_getpgrp },
	{ "getpid", SYS_getpid },
	{ "getrandom", SYS_getrandom },
	{ "getrusage", SYS_getrusage },
	{ "getsockname", SYS_getsockname },
	{ "getsockopt", SYS_getsockopt },
	{ "gettid", SYS_gettid },
	{ "gettimeofday", SYS_gettimeofday },
	{ "io_uring_enter", SYS_io_uring_enter },
	{ "io_uring_setup", SYS_io_uring_setup },
	{ "inotify_rm_watch", SYS_inotify_rm_watch },
	{ "ioctl", SYS_ioctl },
	{ "kill", SYS_kill },
	{ "listen", SYS_listen },
	{ "lseek", SYS_lseek },
	{ "madvise", SYS_madvise },
	{ "mmap", SYS_mmap },
	{ "mprotect", SYS_mprotect },
	{ "mremap", SYS_mremap },
	{ "munmap", SYS_munmap },
	{ "newfstatat", SYS_newfstatat },
	{ "openat", SYS_openat },
	{ "pipe2", SYS_pipe2 },
	{ "poll", SYS_poll },
	{ "ppoll", SYS_ppoll },
	{ "prctl", SYS_prctl },
	{ "prlimit64", SYS_prlimit64 },
	{ "pread64", SYS_pread64 },
	{ "pwrite64", SYS_pwrite64 },
	{ "read", SYS_read },
	{ "readv", SYS_readv },
	{ "recvfrom", SYS_recvfrom },
	{ "recvmmsg", SYS_recvmmsg },
	{ "recvmsg", SYS_recvmsg },
	{ "restart_syscall", SYS_restart_syscall },
	{ "rseq", SYS_rseq },
	{ "rt_sigaction", SYS_rt_sigaction },
	{ "rt_sigprocmask", SYS_rt_sigprocmask },
	{ "rt_sigreturn", SYS_rt_sigreturn },
	{ "rt_sigtimedwait", SYS_rt_sigtimedwait },
	{ "sched_getaffinity", SYS_sched_getaffinity },
	{ "sched_getparam", SYS_sched_getparam },
	{ "sched_getscheduler", SYS_sched_getscheduler },
	{ "sched_yield", SYS_sched_yield },
	{ "sendmmsg", SYS_sendmmsg },
	{ "sendmsg", SYS_sendmsg },
	{ "set_robust_list", SYS_set_robust_list },
	{ "setsockopt", SYS_setsockopt },
	{ "shutdown", SYS_shutdown },
	{ "sigaltstack", SYS_sigaltstack },
	{ "socket", SYS_socket },
	{ "splice", SYS_splice },
	{ "statx", SYS_statx },
	{ "tgkill", SYS_tgkill },
	{ "unlinkat", SYS_unlinkat },
	{ "vfork", SYS_vfork },
	{ "wait4", SYS_wait4 },
	{ "write", SYS_write },
	{ "writev", SYS_writev },
#endif
	{ NULL, 0 },
};

/* callNumber(name): the call's number, -ENOSYS if this architecture lacks it, or -EINVAL if it is not in the table */
static napi_value call_number(napi_env env, napi_callback_info info)
{
	char name[32];
	napi_value argument;
	size_t count = 1, length = 0;

	if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count < 1 ||
	    napi_get_value_string_utf8(env, argument, name, sizeof(name), &length) != napi_ok)
		return integer_result(env, -EINVAL);
	for (const struct call *call = calls; call->name; call++) {
		if (!strcmp(call->name, name))
			return integer_result(env, call->number >= 0 ? call->number : -ENOSYS);
	}
	return integer_result(env, -EINVAL);
}

/*
 * architecture(): the AUDIT_ARCH_… that the kernel reports to filters, its sign bit included; 0 for one without filters
 */
static napi_value architecture(napi_env env, napi_callback_info info)
{
	(void)info;
#ifdef ARCHITECTURE
	return integer_result(env, (int32_t)ARCHITECTURE);
#else
	return integer_result(env, 0);
#endif
}

/* landlockVersion(): the version of the kernel's interface, from 1, or -errno where there is none */
static napi_value landlock_version(napi_env env, napi_callback_info info)
{
	(void)info;
	return integer_result(env, result_of(syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION)));
}

/* Adds the functions of this file to the addon's exports. */
napi_value register_calls(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "architecture", architecture },
		{ "callNumber", call_number },
		{ "landlockVersion", landlock_version },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
