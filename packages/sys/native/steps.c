/* What each step does. Between fork() and execve() only async-signal-safe calls are allowed: see spawn.c. */
#include "steps.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif

/* Calls that apply to one thread: the C library's own would wait for threads that the child does not have. */
#ifdef SYS_setresuid32
#define SET_USER SYS_setresuid32
#define SET_GROUP SYS_setresgid32
#define SET_GROUPS SYS_setgroups32
#else
#define SET_USER SYS_setresuid
#define SET_GROUP SYS_setresgid
#define SET_GROUPS SYS_setgroups
#endif

extern char **environ;

/* How many words follow each opcode. STEP_EXECUTE has lists after these. */
const uint8_t step_operands[STEP_COUNT] = {
	[STEP_WRITE_FILE] = 3,       /* path, bytes, length */
	[STEP_WRITE_CHILD_FILE] = 3, /* path below /proc/CHILD/, bytes, length */
	[STEP_SET_USER] = 1,         /* user */
	[STEP_SET_GROUP] = 1,        /* group */
	[STEP_CLEAR_GROUPS] = 0,
	[STEP_ENTER_NAMESPACE] = 2,    /* descriptor, CLONE_NEW… */
	[STEP_UNSHARE] = 1,            /* CLONE_NEW… */
	[STEP_MOUNT] = 4,              /* source, target, type, flags */
	[STEP_CONTROL] = 2,            /* PR_…, value */
	[STEP_SET_LIMIT] = 2,          /* RLIMIT_…, soft limit */
	[STEP_NEW_SESSION] = 0,
	[STEP_DIE_WITH_PARENT] = 1,    /* signal */
	[STEP_DUPLICATE] = 2,          /* descriptor, number of the copy, which stays open on exec */
	[STEP_OPEN] = 3,               /* path, flags, number, which stays open on exec */
	[STEP_OPEN_CHILD_FILE] = 3,    /* path below /proc/CHILD/, flags, number, which stays open on exec */
	[STEP_OPEN_CHILD] = 1,         /* number of the pidfd, which stays open on exec */
	[STEP_CLOSE_ON_EXEC_FROM] = 1, /* first descriptor */
	[STEP_WAIT_BYTE] = 2,          /* descriptor; a pipe or -1. The process ends if the other end of either is closed */
	[STEP_PUT_BYTE] = 1,           /* descriptor */
	[STEP_SPAWN] = 2,              /* CLONE_NEW…, words of the child's steps, which follow */
	[STEP_INIT] = 0,
	[STEP_EXECUTE] = 3,            /* paths to try, arguments, variables (-1: inherit); their strings follow */
	[STEP_CLOSE] = 1,              /* descriptor */
	[STEP_KEEP_CAPABILITIES] = 0,
	[STEP_LIMIT_CAPABILITIES] = 2, /* capabilities 0 to 31, 32 to 63, that an executed program may still acquire */
	[STEP_PIVOT_ROOT] = 1,         /* path of a mount */
	[STEP_FILTER_CALLS] = 3,       /* instructions, their bytes, SECCOMP_FILTER_FLAG_… */
	[STEP_TRY] = 1,                /* words of the steps to try, which follow */
	[STEP_RESTRICT] = 5,           /* LANDLOCK_ACCESS_FS_…, _SCOPE_…, _RESTRICT_SELF_…, folder or -1, kept below it */
	[STEP_AWAIT_CHILD] = 0,
	[STEP_SPAWN_HELPER] = 2,       /* variable that names the descriptor, words of the helper's steps, which follow */
	[STEP_UNSHARE_USER] = 1,       /* CLONE_NEW…, beside CLONE_NEWUSER */
	[STEP_MOUNT_RECEIVED] = 1,     /* descriptor that a path comes from */
	[STEP_SET_VARIABLE] = 1,       /* NAME=VALUE */
	[STEP_ONLY_IF] = 4,            /* see steps-choose.c; the last: words of the steps, which follow */
	[STEP_KEEP_VARIABLES] = 1,     /* prefixes of the variables to keep, separated by spaces */
	[STEP_ADD_OPTIONS] = 5,        /* see steps-choose.c; the last: options, separated by spaces */
	[STEP_CLOSE_FROM] = 1,         /* first descriptor */
	[STEP_WIPE_VARIABLES] = 0,
	[STEP_END_WITH_PIPE] = 2,      /* descriptor, signal; 0: END_OF_PIPE */
	[STEP_COVER_INITRAMFS] = 1,    /* path of a folder, to be mounted on for a moment */
};

char *append_text(char *at, const char *text)
{
	while (*text)
		*at++ = *text++;
	*at = '\0';
	return at;
}

char *append_number(char *at, unsigned int number)
{
	char digits[12];
	int count = 0;

	do
		digits[count++] = (char)('0' + number % 10);
	while ((number /= 10));
	while (count)
		*at++ = digits[--count];
	*at = '\0';
	return at;
}

/* Writes /proc/CHILD/file to `path` of `size` bytes. Returns NULL if it is too long. */
static const char *child_path(const struct program *program, const char *file, char *path, size_t size)
{
	char *end;

	if (strlen(file) + sizeof("/proc/2147483647/") > size)
		return NULL;
	end = append_text(path, "/proc/");
	end = append_number(end, (unsigned int)program->child);
	end = append_text(end, "/");
	append_text(end, file);
	return path;
}

int write_file(const char *path, const void *bytes, size_t length)
{
	int descriptor = open(path, O_WRONLY | O_CLOEXEC), error = 0;
	ssize_t written;

	if (descriptor < 0)
		return errno;
	/* In one write: the files that this is for are the kernel's, which require it. */
	written = write(descriptor, bytes, length);
	if (written < 0)
		error = errno;
	else if ((size_t)written < length)
		error = EIO;
	close(descriptor);
	return error;
}

/* Moves an open descriptor to another number, and keeps it open on exec. */
static int place_descriptor(int descriptor, int number)
{
	int error = 0;

	if (descriptor < 0)
		return errno;
	if (descriptor == number)
		return fcntl(number, F_SETFD, 0) < 0 ? errno : 0;
	if (dup2(descriptor, number) < 0)
		error = errno;
	close(descriptor);
	return error;
}

/* If the report descriptor has the requested number, it is moved. */
static int duplicate_descriptor(struct program *program, int descriptor, int number)
{
	if (number == program->report && descriptor != number) {
		int moved = fcntl(program->report, F_DUPFD_CLOEXEC, number + 1);

		if (moved < 0)
			return errno;
		program->report = moved;
	}
	if (descriptor == number)
		return fcntl(number, F_SETFD, 0) < 0 ? errno : 0;
	return dup2(descriptor, number) < 0 ? errno : 0;
}

static int set_limit(int resource, int32_t soft)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return errno;
	limit.rlim_cur = (rlim_t)soft < limit.rlim_max ? (rlim_t)soft : limit.rlim_max;
	return setrlimit(resource, &limit) ? errno : 0;
}

static int close_on_exec_from(int first)
{
	struct rlimit limit = { .rlim_cur = 1024 };

	if (!syscall(SYS_close_range, first, ~0u, CLOSE_RANGE_CLOEXEC))
		return 0;
	/* Before Linux 5.11. */
	getrlimit(RLIMIT_NOFILE, &limit);
	for (int descriptor = first; (rlim_t)descriptor < limit.rlim_cur; descriptor++)
		fcntl(descriptor, F_SETFD, FD_CLOEXEC);
	return 0;
}

void close_from(int first)
{
	struct rlimit limit = { .rlim_cur = 1024 };

	if (!syscall(SYS_close_range, first, ~0u, 0))
		return;
	/* Before Linux 5.9. */
	getrlimit(RLIMIT_NOFILE, &limit);
	for (int descriptor = first; (rlim_t)descriptor < limit.rlim_cur; descriptor++)
		close(descriptor);
}

/*
 * Makes the permitted capabilities inheritable and ambient: otherwise a user other than 0 would lose them on exec
 * (capabilities(7), "Transformation of capabilities during execve()").
 */
static int keep_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, sets))
		return errno;
	for (int half = 0; half < _LINUX_CAPABILITY_U32S_3; half++)
		sets[half].inheritable |= sets[half].permitted;
	if (syscall(SYS_capset, &header, sets))
		return errno;
	for (unsigned long capability = 0; capability < 32 * _LINUX_CAPABILITY_U32S_3; capability++) {
		if (!(sets[capability / 32].permitted >> capability % 32 & 1))
			continue;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0UL, 0UL))
			return errno;
	}
	return 0;
}

static int die_with_parent(const struct program *program, int signal)
{
	pid_t parent;

	if (prctl(PR_SET_PDEATHSIG, signal))
		return errno;
	/* The parent may have ended before; a parent outside of the PID namespace appears as 0. */
	parent = getppid();
	if (parent && parent != program->parent)
		_exit(STATUS_FAILED);
	return 0;
}

/*
 * The kernel sends the signal as if this process did so itself: the user of the other end makes no difference. See
 * fcntl(2), "Managing signals".
 */
static int end_with_pipe(int descriptor, int signal)
{
	struct pollfd end = { .fd = descriptor };
	const int flags = fcntl(descriptor, F_GETFL);

	if (flags < 0 || fcntl(descriptor, F_SETOWN, getpid()) ||
	    fcntl(descriptor, F_SETSIG, signal ? signal : END_OF_PIPE) || fcntl(descriptor, F_SETFL, flags | O_ASYNC))
		return errno;
	/* The other end may have been closed before. */
	if (poll(&end, 1, 0) > 0)
		_exit(STATUS_FAILED);
	return 0;
}

static int wait_byte(int descriptor, int life)
{
	/* poll() ignores a negative descriptor. */
	struct pollfd ends[] = { { .fd = life }, { .fd = descriptor, .events = POLLIN } };
	ssize_t count;
	char byte;

	/* The descriptor may be non-blocking. */
	do {
		if (poll(ends, 2, -1) < 0 && errno != EINTR)
			return errno;
		if (ends[0].revents)
			_exit(STATUS_FAILED);
		count = read(descriptor, &byte, 1);
	} while (count < 0 && (errno == EINTR || errno == EAGAIN));
	if (count == 0)
		_exit(STATUS_FAILED);
	return count < 0 ? errno : 0;
}

static int await_child(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return errno;
	}
	if (status)
		_exit(STATUS_FAILED);
	return 0;
}

static int put_byte(int descriptor)
{
	return write(descriptor, "", 1) < 0 ? errno : 0;
}

static void unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Collects the pointers to `count` strings, of which the first is operand `index`. */
static char **collect_strings(const struct program *program, char **into, int32_t index, int32_t count)
{
	for (int32_t number = 0; number < count; number++)
		*into++ = program->strings + word(program, index + number);
	*into++ = NULL;
	return into;
}

/*
 * Tries each path in turn, as a search along PATH does: a path that is missing or not allowed does not end the search.
 * Returns the errno to report, EACCES rather than ENOENT.
 */
static int execute(const struct program *program, int32_t index)
{
	const int32_t path_count = word(program, index), argument_count = word(program, index + 1);
	const int32_t variable_count = word(program, index + 2), paths = index + 3;
	/* Room before the arguments for a shell, and the script's path in place of the first argument. */
	char **arguments = program->pointers + 1, **variables, **shell_arguments = program->pointers;
	int error = ENOENT;

	variables = collect_strings(program, arguments, paths + path_count, argument_count);
	if (variable_count >= 0)
		collect_strings(program, variables, paths + path_count + argument_count, variable_count);
	else
		variables = environ;

	unblock_signals();
	for (int32_t number = 0; number < path_count; number++) {
		char *path = program->strings + word(program, paths + number);

		execve(path, arguments, variables);
		if (errno == ENOEXEC) {
			/* A script without an interpreter line. */
			char *first = arguments[0];

			shell_arguments[0] = (char *)"sh";
			arguments[0] = path;
			execve("/bin/sh", shell_arguments, variables);
			arguments[0] = first;
			return ENOEXEC;
		}
		if (errno == EACCES || errno == EPERM) {
			/* In a search, a file in a folder that we may not search counts as missing. */
			if (path_count == 1 || !access(path, F_OK))
				error = EACCES;
		} else if (errno != ENOENT && errno != ENOTDIR && errno != ENODEV && errno != ESTALE)
			return errno;
	}
	return error;
}

/* Carries out one step. Returns 0 or an errno. Steps that contain steps are not carried out here. */
int carry_out_step(struct program *program, enum opcode opcode, int32_t index)
{
	const int32_t first = step_operands[opcode] > 0 ? word(program, index) : 0;
	const int32_t second = step_operands[opcode] > 1 ? word(program, index + 1) : 0;
	const int32_t third = step_operands[opcode] > 2 ? word(program, index + 2) : 0;
	char *const strings = program->strings;
	char path[128];
	long result = 0;

	switch (opcode) {
	case STEP_WRITE_FILE:
		return write_file(strings + first, strings + second, (size_t)third);
	case STEP_WRITE_CHILD_FILE:
		if (!child_path(program, strings + first, path, sizeof(path)))
			return ENAMETOOLONG;
		return write_file(path, strings + second, (size_t)third);
	case STEP_SET_USER:
		result = syscall(SET_USER, first, first, first);
		break;
	case STEP_SET_GROUP:
		result = syscall(SET_GROUP, first, first, first);
		break;
	case STEP_CLEAR_GROUPS:
		result = syscall(SET_GROUPS, 0, NULL);
		break;
	case STEP_ENTER_NAMESPACE:
		result = setns(first, second);
		break;
	case STEP_UNSHARE:
		result = unshare(first);
		break;
	case STEP_MOUNT:
		result = mount(strings + first, strings + second, strings + third,
			       (uint32_t)word(program, index + 3), NULL);
		break;
	case STEP_CONTROL:
		result = prctl(first, (unsigned long)second, 0UL, 0UL, 0UL);
		break;
	case STEP_SET_LIMIT:
		return set_limit(first, second);
	case STEP_NEW_SESSION:
		result = setsid();
		break;
	case STEP_DIE_WITH_PARENT:
		return die_with_parent(program, first);
	case STEP_DUPLICATE:
		return duplicate_descriptor(program, first, second);
	case STEP_OPEN:
		return place_descriptor(open(strings + first, second), third);
	case STEP_OPEN_CHILD_FILE:
		if (!child_path(program, strings + first, path, sizeof(path)))
			return ENAMETOOLONG;
		return place_descriptor(open(path, second), third);
	case STEP_OPEN_CHILD:
		return place_descriptor((int)syscall(SYS_pidfd_open, program->child, 0), first);
	case STEP_CLOSE_ON_EXEC_FROM:
		return close_on_exec_from(first);
	case STEP_CLOSE:
		result = close(first);
		break;
	case STEP_CLOSE_FROM:
		close_from(first);
		break;
	case STEP_WIPE_VARIABLES:
		wipe_variables();
		break;
	case STEP_KEEP_CAPABILITIES:
		return keep_capabilities();
	case STEP_LIMIT_CAPABILITIES:
		return limit_capabilities((uint32_t)first, (uint32_t)second);
	case STEP_COVER_INITRAMFS:
		return cover_initramfs(strings + first);
	case STEP_PIVOT_ROOT:
		return pivot_into(strings + first);
	case STEP_FILTER_CALLS:
		return filter_calls(strings + first, (size_t)second, (unsigned int)third);
	case STEP_RESTRICT:
		return restrict_self((uint32_t)first, (uint32_t)second, (uint32_t)third, word(program, index + 3),
				     (uint32_t)word(program, index + 4));
	case STEP_UNSHARE_USER:
		return unshare_user(first);
	case STEP_MOUNT_RECEIVED:
		return mount_received(first);
	case STEP_KEEP_VARIABLES:
		keep_variables(strings + first);
		break;
	case STEP_ADD_OPTIONS:
		return add_options(program, index);
	case STEP_SET_VARIABLE:
		/* Not copied: the list stays until this process executes something, or ends. */
		return putenv(strings + first) ? errno : 0;
	case STEP_WAIT_BYTE:
		return wait_byte(first, second);
	case STEP_END_WITH_PIPE:
		return end_with_pipe(first, second);
	case STEP_PUT_BYTE:
		return put_byte(first);
	case STEP_AWAIT_CHILD:
		return await_child(program->child);
	case STEP_EXECUTE:
		return execute(program, index);
	default:
		return ENOSYS;
	}
	return result < 0 ? errno : 0;
}
