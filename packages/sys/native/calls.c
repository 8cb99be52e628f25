/* What system calls are numbered as on this architecture, for filters that TypeScript writes. */
#include "native.h"

#include <linux/audit.h>
#include <sys/syscall.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
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

#if defined(__x86_64__) && !defined(__ILP32__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && !defined(__ILP32__) && defined(__AARCH64EL__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

struct call {
	const char *name;
	int32_t number;
};

/* Calls that this architecture lacks are not in the table, or have a negative number. */
static const struct call calls[] = {
#ifdef SYS_accept4
	{ "accept4", SYS_accept4 },
#endif
#ifdef SYS_bind
	{ "bind", SYS_bind },
#endif
#ifdef SYS_brk
	{ "brk", SYS_brk },
#endif
#ifdef SYS_clock_gettime
	{ "clock_gettime", SYS_clock_gettime },
#endif
#ifdef SYS_clock_nanosleep
	{ "clock_nanosleep", SYS_clock_nanosleep },
#endif
#ifdef SYS_clone
	{ "clone", SYS_clone },
#endif
#ifdef SYS_clone3
	{ "clone3", SYS_clone3 },
#endif
#ifdef SYS_close
	{ "close", SYS_close },
#endif
#ifdef SYS_connect
	{ "connect", SYS_connect },
#endif
#ifdef SYS_epoll_create1
	{ "epoll_create1", SYS_epoll_create1 },
#endif
#ifdef SYS_epoll_ctl
	{ "epoll_ctl", SYS_epoll_ctl },
#endif
#ifdef SYS_epoll_pwait
	{ "epoll_pwait", SYS_epoll_pwait },
#endif
#ifdef SYS_epoll_pwait2
	{ "epoll_pwait2", SYS_epoll_pwait2 },
#endif
#ifdef SYS_epoll_wait
	{ "epoll_wait", SYS_epoll_wait },
#endif
#ifdef SYS_eventfd2
	{ "eventfd2", SYS_eventfd2 },
#endif
#ifdef SYS_exit
	{ "exit", SYS_exit },
#endif
#ifdef SYS_exit_group
	{ "exit_group", SYS_exit_group },
#endif
#ifdef SYS_fcntl
	{ "fcntl", SYS_fcntl },
#endif
#ifdef SYS_fork
	{ "fork", SYS_fork },
#endif
#ifdef SYS_fstat
	{ "fstat", SYS_fstat },
#endif
#ifdef SYS_ftruncate
	{ "ftruncate", SYS_ftruncate },
#endif
#ifdef SYS_futex
	{ "futex", SYS_futex },
#endif
#ifdef SYS_getpeername
	{ "getpeername", SYS_getpeername },
#endif
#ifdef SYS_getpid
	{ "getpid", SYS_getpid },
#endif
#ifdef SYS_getrandom
	{ "getrandom", SYS_getrandom },
#endif
#ifdef SYS_getrusage
	{ "getrusage", SYS_getrusage },
#endif
#ifdef SYS_getsockname
	{ "getsockname", SYS_getsockname },
#endif
#ifdef SYS_getsockopt
	{ "getsockopt", SYS_getsockopt },
#endif
#ifdef SYS_gettid
	{ "gettid", SYS_gettid },
#endif
#ifdef SYS_gettimeofday
	{ "gettimeofday", SYS_gettimeofday },
#endif
#ifdef SYS_io_uring_setup
	{ "io_uring_setup", SYS_io_uring_setup },
#endif
#ifdef SYS_inotify_rm_watch
	{ "inotify_rm_watch", SYS_inotify_rm_watch },
#endif
#ifdef SYS_ioctl
	{ "ioctl", SYS_ioctl },
#endif
#ifdef SYS_kill
	{ "kill", SYS_kill },
#endif
#ifdef SYS_listen
	{ "listen", SYS_listen },
#endif
#ifdef SYS_lseek
	{ "lseek", SYS_lseek },
#endif
#ifdef SYS_madvise
	{ "madvise", SYS_madvise },
#endif
#ifdef SYS_mmap
	{ "mmap", SYS_mmap },
#endif
#ifdef SYS_mprotect
	{ "mprotect", SYS_mprotect },
#endif
#ifdef SYS_mremap
	{ "mremap", SYS_mremap },
#endif
#ifdef SYS_munmap
	{ "munmap", SYS_munmap },
#endif
#ifdef SYS_newfstatat
	{ "newfstatat", SYS_newfstatat },
#endif
#ifdef SYS_openat
	{ "openat", SYS_openat },
#endif
#ifdef SYS_pipe2
	{ "pipe2", SYS_pipe2 },
#endif
#ifdef SYS_poll
	{ "poll", SYS_poll },
#endif
#ifdef SYS_ppoll
	{ "ppoll", SYS_ppoll },
#endif
#ifdef SYS_prctl
	{ "prctl", SYS_prctl },
#endif
#ifdef SYS_prlimit64
	{ "prlimit64", SYS_prlimit64 },
#endif
#ifdef SYS_pread64
	{ "pread64", SYS_pread64 },
#endif
#ifdef SYS_pwrite64
	{ "pwrite64", SYS_pwrite64 },
#endif
#ifdef SYS_read
	{ "read", SYS_read },
#endif
#ifdef SYS_readv
	{ "readv", SYS_readv },
#endif
#ifdef SYS_recvfrom
	{ "recvfrom", SYS_recvfrom },
#endif
#ifdef SYS_recvmmsg
	{ "recvmmsg", SYS_recvmmsg },
#endif
#ifdef SYS_recvmsg
	{ "recvmsg", SYS_recvmsg },
#endif
#ifdef SYS_restart_syscall
	{ "restart_syscall", SYS_restart_syscall },
#endif
#ifdef SYS_rseq
	{ "rseq", SYS_rseq },
#endif
#ifdef SYS_rt_sigaction
	{ "rt_sigaction", SYS_rt_sigaction },
#endif
#ifdef SYS_rt_sigprocmask
	{ "rt_sigprocmask", SYS_rt_sigprocmask },
#endif
#ifdef SYS_rt_sigreturn
	{ "rt_sigreturn", SYS_rt_sigreturn },
#endif
#ifdef SYS_sched_getaffinity
	{ "sched_getaffinity", SYS_sched_getaffinity },
#endif
#ifdef SYS_sched_getparam
	{ "sched_getparam", SYS_sched_getparam },
#endif
#ifdef SYS_sched_getscheduler
	{ "sched_getscheduler", SYS_sched_getscheduler },
#endif
#ifdef SYS_sched_yield
	{ "sched_yield", SYS_sched_yield },
#endif
#ifdef SYS_sendmmsg
	{ "sendmmsg", SYS_sendmmsg },
#endif
#ifdef SYS_sendmsg
	{ "sendmsg", SYS_sendmsg },
#endif
#ifdef SYS_sendto
	{ "sendto", SYS_sendto },
#endif
#ifdef SYS_set_robust_list
	{ "set_robust_list", SYS_set_robust_list },
#endif
#ifdef SYS_setsockopt
	{ "setsockopt", SYS_setsockopt },
#endif
#ifdef SYS_shutdown
	{ "shutdown", SYS_shutdown },
#endif
#ifdef SYS_sigaltstack
	{ "sigaltstack", SYS_sigaltstack },
#endif
#ifdef SYS_socket
	{ "socket", SYS_socket },
#endif
#ifdef SYS_splice
	{ "splice", SYS_splice },
#endif
#ifdef SYS_statx
	{ "statx", SYS_statx },
#endif
#ifdef SYS_tgkill
	{ "tgkill", SYS_tgkill },
#endif
#ifdef SYS_unlink
	{ "unlink", SYS_unlink },
#endif
#ifdef SYS_unlinkat
	{ "unlinkat", SYS_unlinkat },
#endif
#ifdef SYS_vfork
	{ "vfork", SYS_vfork },
#endif
#ifdef SYS_wait4
	{ "wait4", SYS_wait4 },
#endif
#ifdef SYS_write
	{ "write", SYS_write },
#endif
#ifdef SYS_writev
	{ "writev", SYS_writev },
#endif
};

/* callNumber(name): its number, or -ENOSYS for what is not in the table */
static napi_value call_number(napi_env env, napi_callback_info info)
{
	char name[32];
	napi_value argument;
	size_t count = 1, length = 0;

	if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count < 1 ||
	    napi_get_value_string_utf8(env, argument, name, sizeof(name), &length) != napi_ok)
		return integer_result(env, -EINVAL);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (!strcmp(calls[i].name, name))
			return integer_result(env, calls[i].number >= 0 ? calls[i].number : -ENOSYS);
	}
	return integer_result(env, -ENOSYS);
}

/* architecture(): the AUDIT_ARCH_… that the kernel reports to filters, its sign bit included; 0 for one without filters */
static napi_value architecture(napi_env env, napi_callback_info info)
{
	(void)info;
#ifdef ARCHITECTURE
	return integer_result(env, (int32_t)ARCHITECTURE);
#else
	return integer_result(env, 0);
#endif
}

/* Adds the functions of this file to the addon's exports. */
napi_value register_calls(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "architecture", architecture },
		{ "callNumber", call_number },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
