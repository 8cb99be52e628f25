/*
 * Processes that must do something before a runtime exists in them.
 *
 * A multi-threaded process may neither create nor join a user namespace, and Node.js has threads from its first
 * instruction. runSteps() forks a child, which is single-threaded until it executes something, and which carries out a
 * list of system calls that TypeScript decided on and wrote to the arena. What the list is for is not known here.
 *
 * The list is a sequence of 32-bit words: an opcode, then its operands, as `operands` below has them. An operand that is a
 * string is the offset of its first byte in a block of bytes, where NUL ends it. Steps may start further processes with
 * steps of their own, which follow in the list with their length.
 *
 * Between fork() and execve() only async-signal-safe calls are allowed: a lock may be held by a thread that does not
 * exist in the child. What is below uses system calls through their thin wrappers, and no memory but its stack, the
 * arena's copy and an array that was allocated before. clone() is called directly, since the C library has no fork() that
 * takes namespaces; the C library's view of the calling thread is stale after it, and nothing here relies on it.
 *
 * A step that fails writes one line of JSON to the report descriptor, {"step":WORD,"errno":NUMBER} with the step's place in
 * the list, and ends its process, unless it is marked as one that may fail.
 */
#include "native.h"

#include <fcntl.h>
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

/* The calls that apply to one thread: the C library's own would look for threads that the child does not have. */
#ifdef SYS_setresuid32
#define SET_USER SYS_setresuid32
#define SET_GROUP SYS_setresgid32
#define SET_GROUPS SYS_setgroups32
#else
#define SET_USER SYS_setresuid
#define SET_GROUP SYS_setresgid
#define SET_GROUPS SYS_setgroups
#endif

/* As in steps.ts. */
enum opcode {
	STEP_WRITE_FILE = 1,
	STEP_WRITE_CHILD_FILE,
	STEP_SET_USER,
	STEP_SET_GROUP,
	STEP_CLEAR_GROUPS,
	STEP_ENTER_NAMESPACE,
	STEP_UNSHARE,
	STEP_MOUNT,
	STEP_CONTROL,
	STEP_SET_LIMIT,
	STEP_NEW_SESSION,
	STEP_DIE_WITH_PARENT,
	STEP_DUPLICATE,
	STEP_OPEN,
	STEP_OPEN_CHILD_FILE,
	STEP_OPEN_CHILD,
	STEP_CLOSE_ON_EXEC_FROM,
	STEP_WAIT_BYTE,
	STEP_PUT_BYTE,
	STEP_SPAWN,
	STEP_INIT,
	STEP_EXECUTE,
	STEP_CLOSE,
	STEP_COUNT
};

#define OPCODE_MASK 0xff
#define MAY_FAIL 0x100

/* How many words follow each opcode; STEP_EXECUTE has lists after these. */
static const uint8_t operands[STEP_COUNT] = {
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
	[STEP_WAIT_BYTE] = 1,          /* descriptor; its end instead of a byte ends the process */
	[STEP_PUT_BYTE] = 1,           /* descriptor */
	[STEP_SPAWN] = 2,              /* CLONE_NEW…, words of the child's steps, which follow */
	[STEP_INIT] = 1,               /* words of the command's steps, which follow */
	[STEP_EXECUTE] = 3,            /* paths to try, arguments, variables (-1: inherit); their strings follow */
	[STEP_CLOSE] = 1,              /* descriptor */
};

/* Exit statuses of a process that could not do its steps; the last two are what shells answer. */
#define STATUS_FAILED 1
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND 127

struct program {
	const uint8_t *words;
	int32_t word_count;
	char *strings;
	int32_t string_bytes;
	/* Room for every string of the longest STEP_EXECUTE, and for a shell before them. */
	char **pointers;
	int report;
	/* The process that started this one, and the one that this one started last. */
	pid_t parent, child;
};

extern char **environ;

static int32_t word(const struct program *program, int32_t index)
{
	return load_int32(program->words + (size_t)index * 4);
}

/* Fork-like: the child goes on with a copy of the stack. */
static pid_t clone_process(unsigned long flags)
{
#if defined(__s390__) || defined(__CRIS__)
	return syscall(SYS_clone, 0, flags | SIGCHLD, 0, 0, 0);
#else
	return syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
#endif
}

static char *append_text(char *at, const char *text)
{
	while (*text)
		*at++ = *text++;
	*at = '\0';
	return at;
}

static char *append_number(char *at, unsigned int number)
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

static void report_failure(const struct program *program, int32_t step, int error)
{
	char line[64], *end = line;

	end = append_text(end, "{\"step\":");
	end = append_number(end, (unsigned int)step);
	end = append_text(end, ",\"errno\":");
	end = append_number(end, (unsigned int)error);
	end = append_text(end, "}\n");
	/* Nobody may listen any more, and nobody else could be told. */
	if (write(program->report, line, (size_t)(end - line)) < 0)
		return;
}

/* /proc/CHILD/file, in `path` of `size` bytes; NULL if it is too long. */
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

static int write_file(const char *path, const void *bytes, size_t length)
{
	int descriptor = open(path, O_WRONLY | O_CLOEXEC), error = 0;
	ssize_t written;

	if (descriptor < 0)
		return errno;
	/* In one write: the files that this is for are the kernel's, and take it so. */
	written = write(descriptor, bytes, length);
	if (written < 0)
		error = errno;
	else if ((size_t)written < length)
		error = EIO;
	close(descriptor);
	return error;
}

/* Gives an open descriptor another number, and lets it stay open on exec. */
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

/* The report descriptor makes way if its number is wanted. */
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

	if (getrlimit((__rlimit_resource_t)resource, &limit))
		return errno;
	limit.rlim_cur = (rlim_t)soft < limit.rlim_max ? (rlim_t)soft : limit.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &limit) ? errno : 0;
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

static int die_with_parent(const struct program *program, int signal)
{
	pid_t parent;

	if (prctl(PR_SET_PDEATHSIG, signal))
		return errno;
	/* It may have gone before; a parent outside of the process namespace shows as 0. */
	parent = getppid();
	if (parent && parent != program->parent)
		_exit(STATUS_FAILED);
	return 0;
}

static int wait_byte(int descriptor)
{
	struct pollfd arrival = { .fd = descriptor, .events = POLLIN };
	ssize_t count;
	char byte;

	/* The descriptor may be a non-blocking one. */
	do {
		if (poll(&arrival, 1, -1) < 0 && errno != EINTR)
			return errno;
		count = read(descriptor, &byte, 1);
	} while (count < 0 && (errno == EINTR || errno == EAGAIN));
	if (count == 0)
		_exit(STATUS_FAILED);
	return count < 0 ? errno : 0;
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

/* The status of a process that has ended, as shells tell it. */
static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/*
 * What the first process of a PID namespace has to do: reap everything that is orphaned, pass on signals, and end with the
 * command, whereupon the kernel ends whatever is left in the namespace. Signals stay blocked and are fetched.
 */
static _Noreturn void run_as_init(pid_t command)
{
	sigset_t all;

	/* A pipe must not be held open by a process that doesn't use it. */
	if (syscall(SYS_close_range, 0, ~0u, 0)) {
		for (int descriptor = 0; descriptor < 1024; descriptor++)
			close(descriptor);
	}

	sigfillset(&all);
	for (;;) {
		siginfo_t information;
		int status, signal;
		pid_t ended;

		signal = sigwaitinfo(&all, &information);
		if (signal < 0)
			continue;
		if (signal != SIGCHLD) {
			/* What the terminal sends goes to the command's process group anyway. */
			if (information.si_code <= 0)
				kill(command, signal);
			continue;
		}
		while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
			if (ended == command)
				_exit(exit_status(status));
		}
	}
}

/* The pointers to `count` strings, of which the first is operand `index`. */
static char **collect_strings(const struct program *program, char **into, int32_t index, int32_t count)
{
	for (int32_t number = 0; number < count; number++)
		*into++ = program->strings + word(program, index + number);
	*into++ = NULL;
	return into;
}

/*
 * Tries each path in turn, as a search along PATH does: one that is missing or not allowed does not end it. Returns the
 * errno to report, EACCES rather than ENOENT.
 */
static int execute(const struct program *program, int32_t index)
{
	const int32_t path_count = word(program, index), argument_count = word(program, index + 1);
	const int32_t variable_count = word(program, index + 2), paths = index + 3;
	/* Room before the arguments for a shell and the script's path in place of the first argument. */
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
			/* A script that does not name its interpreter. */
			char *first = arguments[0];

			shell_arguments[0] = (char *)"sh";
			arguments[0] = path;
			execve("/bin/sh", shell_arguments, variables);
			arguments[0] = first;
			return ENOEXEC;
		}
		if (errno == EACCES || errno == EPERM) {
			/* While searching, what is in a folder that we may not look into is not there. */
			if (path_count == 1 || !access(path, F_OK))
				error = EACCES;
		} else if (errno != ENOENT && errno != ENOTDIR && errno != ENODEV && errno != ESTALE)
			return errno;
	}
	return error;
}

static _Noreturn void run(struct program *program, int32_t first, int32_t end);

/* In the child, never returns. In the parent, the child's number or a negative errno. */
static pid_t start_child(struct program *program, unsigned long flags, int32_t first, int32_t end)
{
	const pid_t self = getpid(), child = clone_process(flags);

	if (child < 0)
		return -errno;
	if (child == 0) {
		program->parent = self;
		program->child = 0;
		run(program, first, end);
	}
	return child;
}

/* One step; 0 or an errno. Those that have steps of their own behind them are not carried out here. */
static int run_step(struct program *program, enum opcode opcode, int32_t index)
{
	const int32_t first = operands[opcode] > 0 ? word(program, index) : 0;
	const int32_t second = operands[opcode] > 1 ? word(program, index + 1) : 0;
	const int32_t third = operands[opcode] > 2 ? word(program, index + 2) : 0;
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
	case STEP_WAIT_BYTE:
		return wait_byte(first);
	case STEP_PUT_BYTE:
		return put_byte(first);
	case STEP_EXECUTE:
		return execute(program, index);
	default:
		return ENOSYS;
	}
	return result < 0 ? errno : 0;
}

static int32_t length_of_lists(const struct program *program, int32_t index)
{
	const int32_t variables = word(program, index + 2);

	return word(program, index) + word(program, index + 1) + (variables > 0 ? variables : 0);
}

/* Carries out the steps from word `first` to before word `end`, and ends the process after the last. */
static _Noreturn void run(struct program *program, int32_t first, int32_t end)
{
	for (int32_t step = first; step < end;) {
		const int32_t opcode = word(program, step) & OPCODE_MASK, index = step + 1;
		int32_t next = index + operands[opcode];
		int error = 0;

		if (opcode == STEP_SPAWN || opcode == STEP_INIT) {
			const bool is_init = opcode == STEP_INIT;
			const int32_t length = word(program, is_init ? index : index + 1);
			const unsigned long flags = is_init ? 0 : (unsigned long)(uint32_t)word(program, index);
			pid_t child = start_child(program, flags, next, next + length);

			if (child < 0)
				error = -child;
			else if (is_init)
				run_as_init(child);
			else
				program->child = child;
			next += length;
		} else {
			error = run_step(program, (enum opcode)opcode, index);
			if (opcode == STEP_EXECUTE)
				next += length_of_lists(program, index);
		}

		if (error) {
			report_failure(program, step, error);
			if (opcode == STEP_EXECUTE)
				_exit(error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
			if (!(word(program, step) & MAY_FAIL))
				_exit(STATUS_FAILED);
		}
		step = next;
	}
	_exit(0);
}

static bool is_string(const struct program *program, int32_t offset)
{
	return offset >= 0 && offset < program->string_bytes;
}

/* Steps of a process that starts another one with such steps, and so on. */
#define DEEPEST_NESTING 16

/* The steps from word `step` to before word `last` are whole, and so are those inside of them. */
static bool are_well_formed(const struct program *program, int32_t step, int32_t last, int depth)
{
	while (step < last) {
		const int32_t opcode = word(program, step) & OPCODE_MASK, index = step + 1;

		if (opcode < 1 || opcode >= STEP_COUNT || index + operands[opcode] > last)
			return false;
		step = index + operands[opcode];

		switch (opcode) {
		case STEP_WRITE_FILE:
		case STEP_WRITE_CHILD_FILE:
			if (word(program, index + 2) < 0 || !is_string(program, word(program, index + 1)) ||
			    word(program, index + 2) >= program->string_bytes - word(program, index + 1))
				return false;
			/* fall through */
		case STEP_OPEN:
		case STEP_OPEN_CHILD_FILE:
			if (!is_string(program, word(program, index)))
				return false;
			break;
		case STEP_MOUNT:
			for (int32_t operand = 0; operand < 3; operand++) {
				if (!is_string(program, word(program, index + operand)))
					return false;
			}
			break;
		case STEP_SPAWN:
		case STEP_INIT: {
			const int32_t length = word(program, step - 1);

			if (length < 0 || length > last - step || depth == DEEPEST_NESTING ||
			    !are_well_formed(program, step, step + length, depth + 1))
				return false;
			step += length;
			break;
		}
		case STEP_EXECUTE: {
			const int32_t paths = word(program, index), arguments = word(program, index + 1);
			const int32_t variables = word(program, index + 2);
			const int64_t end = (int64_t)step + paths + arguments + (variables > 0 ? variables : 0);

			if (paths < 0 || arguments < 1 || variables < -1 || end > last)
				return false;
			for (; step < end; step++) {
				if (!is_string(program, word(program, step)))
					return false;
			}
			break;
		}
		default:
			break;
		}
	}
	return true;
}

/* Before anything is done, so that a mistake in the list can't make a half-started process read astray. */
static bool is_well_formed(const struct program *program)
{
	if (program->string_bytes < 1 || program->strings[program->string_bytes - 1] != '\0')
		return false;
	return are_well_formed(program, 0, program->word_count, 0);
}

static void reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	for (int signal = 1; signal < NSIG; signal++)
		sigaction(signal, &action, NULL);
}

/* runSteps(wordsOffset, wordCount, stringsOffset, stringBytes, reportDescriptor): the child's number or -errno */
static napi_value run_steps(napi_env env, napi_callback_info info)
{
	int32_t arguments[5];
	struct native_state *state = read_arguments(env, info, 5, arguments);
	struct program program = { 0 };
	sigset_t all, before;
	int32_t result;

	if (!state)
		return integer_result(env, -EINVAL);
	program.word_count = arguments[1];
	program.string_bytes = arguments[3];
	program.words = memory_at(state, arguments[0], (int64_t)program.word_count * 4);
	program.strings = memory_at(state, arguments[2], program.string_bytes);
	program.report = arguments[4];
	program.parent = getpid();
	if (!program.words || !program.strings)
		return integer_result(env, -EFAULT);
	if (!is_well_formed(&program))
		return integer_result(env, -EINVAL);

	/* At least one word for each pointer, and one for each end of a list. */
	program.pointers = malloc(((size_t)program.word_count + 8) * sizeof(*program.pointers));
	if (!program.pointers)
		return integer_result(env, -ENOMEM);

	/* No handler of the runtime may run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = clone_process(0);
	if (result == 0) {
		reset_signals();
		run(&program, 0, program.word_count);
	}
	if (result < 0)
		result = -errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);

	free(program.pointers);
	return integer_result(env, result);
}

/* isForeground(terminalDescriptor): 1 if this process' group is the terminal's foreground group, else 0; -errno */
static napi_value is_foreground(napi_env env, napi_callback_info info)
{
	int32_t terminal;
	pid_t group;

	if (!read_arguments(env, info, 1, &terminal))
		return integer_result(env, -EINVAL);
	group = tcgetpgrp(terminal);
	return integer_result(env, group < 0 ? -errno : group == getpgrp());
}

/* reclaimForeground(terminalDescriptor): 1 if the foreground group was gone and this process' took its place, else 0 */
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
napi_value register_spawn(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "runSteps", run_steps },
		{ "isForeground", is_foreground },
		{ "reclaimForeground", reclaim_foreground },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
