/*
 * Carries out a list of steps: system calls that TypeScript decided on. This file does not know what the list is for.
 *
 * The list is a sequence of 32-bit words: an opcode, then its operands, as listed by `step_operands` in steps.c. An
 * operand that is a string is the offset of its first byte in a block of bytes, where NUL ends it. Steps may start
 * further processes with steps of their own, which follow in the list with their length.
 *
 * This code may run between fork() and execve(), where only async-signal-safe calls are allowed: a lock may be held by
 * a thread that does not exist in the child. It makes system calls through their thin wrappers, and uses no memory but
 * its stack, the list and an array allocated before. clone() is called directly, since the C library has no fork() that
 * takes namespaces. The C library's view of the calling thread is stale after it, and nothing here relies on it.
 *
 * A step that fails writes one line of JSON to the report descriptor, {"step":WORD,"errno":NUMBER} with the step's
 * place in the list, and ends its process, unless it is marked as one that may fail. Within a STEP_TRY list (not
 * nested), it ends only that list.
 */
#include "steps.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* As fork(): the child continues on a copy of the stack. */
pid_t clone_process(unsigned long flags)
{
#if defined(__s390__) || defined(__CRIS__)
	return syscall(SYS_clone, 0, flags | SIGCHLD, 0, 0, 0);
#else
	return syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
#endif
}

static void report_failure(const struct program *program, int32_t step, int error)
{
	char line[64], *end = line;

	end = append_text(end, "{\"step\":");
	end = append_number(end, (unsigned int)step);
	end = append_text(end, ",\"errno\":");
	end = append_number(end, (unsigned int)error);
	end = append_text(end, "}\n");
	/* The reader may be gone, and there is nobody else to report to. */
	if (write(program->report, line, (size_t)(end - line)) < 0)
		return;
}

/* The status of a process that has ended, as shells report it. */
static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/*
 * Does the duties of a PID namespace's first process: reaps all orphans, passes signals on, and ends with the command,
 * whereupon the kernel ends all that is left in the namespace. Signals stay blocked and are fetched.
 */
static _Noreturn void run_as_init(pid_t command)
{
	sigset_t all;

	sigfillset(&all);
	for (;;) {
		siginfo_t information;
		int status, signal;
		pid_t ended;

		signal = sigwaitinfo(&all, &information);
		if (signal < 0)
			continue;
		/* By the kernel, of STEP_END_WITH_PIPE. It is SIGIO where no more signals can be queued. */
		if ((signal == END_OF_PIPE || signal == SIGIO) && information.si_code > 0)
			_exit(STATUS_FAILED);
		if (signal != SIGCHLD) {
			/* The terminal sends its signals to the command's process group itself. */
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

/* Never returns in the child. In the parent, returns the child's process id or a negative errno. */
static pid_t start_child(struct program *program, unsigned long flags, int32_t first, int32_t end)
{
	const pid_t self = getpid(), child = clone_process(flags);

	if (child < 0)
		return -errno;
	if (child == 0) {
		if (!(flags & CLONE_PARENT))
			program->parent = self;
		program->child = 0;
		carry_out_steps(program, first, end);
		_exit(0);
	}
	return child;
}

/* From here on, numbers rarely collide with a descriptor that a command's option names. */
#define FIRST_NUMBER 250

/*
 * Starts a child in a session of its own, whose descriptor 0 is one end of a pair of packet sockets; it has no other
 * open descriptor. The other end stays open on exec here: an environment variable holds its number, a space, and the
 * child's process id. Not for a child of a process with threads.
 */
static int start_helper(struct program *program, const char *variable, int32_t first, int32_t end)
{
	int ends[2], number, error = 0;
	char text[32], *at;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return errno;
	number = fcntl(ends[0], F_DUPFD, FIRST_NUMBER);
	child = number < 0 ? -1 : clone_process(0);
	if (child == 0) {
		if (ends[1] && dup2(ends[1], 0) < 0)
			_exit(STATUS_FAILED);
		close_from(1);
		setsid();
		carry_out_steps(program, first, end);
		_exit(0);
	}
	at = append_text(append_number(text, (unsigned int)number), " ");
	append_number(at, (unsigned int)child);
	if (child < 0 || setenv(variable, text, 1)) {
		error = errno;
		close(number);
	}
	close(ends[0]);
	close(ends[1]);
	return error;
}

void carry_out_steps(struct program *program, int32_t first, int32_t end)
{
	/* End of the steps being tried; initially there are none. */
	int32_t tried_until = first;

	for (int32_t step = first; step < end;) {
		const int32_t opcode = word(program, step) & OPCODE_MASK, index = step + 1;
		int32_t next = index + step_operands[opcode];
		int error = 0;

		if (opcode == STEP_TRY) {
			tried_until = next + word(program, index);
		} else if (opcode == STEP_ONLY_IF) {
			if (!is_chosen(program, index))
				next += word(program, index + 3);
		} else if (opcode == STEP_SPAWN) {
			const int32_t length = word(program, index + 1);
			const unsigned long flags = (uint32_t)word(program, index);
			const pid_t child = start_child(program, flags, next, next + length);

			if (child < 0)
				error = -child;
			else
				program->child = child;
			next += length;
		} else if (opcode == STEP_INIT && program->child > 0) {
			run_as_init(program->child);
		} else if (opcode == STEP_SPAWN_HELPER) {
			const int32_t length = word(program, index + 1);

			error = start_helper(program, program->strings + word(program, index), next, next + length);
			next += length;
		} else {
			error = carry_out_step(program, (enum opcode)opcode, index);
			if (opcode == STEP_EXECUTE)
				next += length_of_lists(program, index);
		}

		if (error) {
			report_failure(program, step, error);
			if (opcode == STEP_EXECUTE)
				_exit(error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
			if (step < tried_until)
				next = tried_until;
			else if (!(word(program, step) & MAY_FAIL))
				_exit(STATUS_FAILED);
		}
		step = next;
	}
}
