/*
 * Processes that must do something before a runtime exists in them.
 *
 * A multi-threaded process may neither create nor join a user namespace, and Node.js has threads from its first
 * instruction. runSteps() forks a child, which is single-threaded until it executes something, and which carries out a
 * list of system calls that TypeScript decided on and wrote to the arena. What the list is for is not known here.
 *
 * The list is a sequence of 32-bit words: an opcode, then its operands, as `step_operands` in steps.c has them. An operand that is a
 * string is the offset of its first byte in a block of bytes, where NUL ends it. Steps may start further processes with
 * steps of their own, which follow in the list with their length.
 *
 * Between fork() and execve() only async-signal-safe calls are allowed: a lock may be held by a thread that does not
 * exist in the child. What is below uses system calls through their thin wrappers, and no memory but its stack, the
 * arena's copy and an array that was allocated before. clone() is called directly, since the C library has no fork() that
 * takes namespaces; the C library's view of the calling thread is stale after it, and nothing here relies on it.
 *
 * A step that fails writes one line of JSON to the report descriptor, {"step":WORD,"errno":NUMBER} with the step's place in
 * the list, and ends its process, unless it is marked as one that may fail. In a list to try (STEP_TRY, not nested), it ends the list.
 */
#include "steps.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* Fork-like: the child goes on with a copy of the stack. */
static pid_t clone_process(unsigned long flags)
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
	/* Nobody may listen any more, and nobody else could be told. */
	if (write(program->report, line, (size_t)(end - line)) < 0)
		return;
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

static _Noreturn void run(struct program *program, int32_t first, int32_t end);

/* In the child, never returns. In the parent, the child's number or a negative errno. */
static pid_t start_child(struct program *program, unsigned long flags, int32_t first, int32_t end)
{
	const pid_t self = getpid(), child = clone_process(flags);

	if (child < 0)
		return -errno;
	if (child == 0) {
		if (!(flags & CLONE_PARENT))
			program->parent = self;
		program->child = 0;
		run(program, first, end);
	}
	return child;
}

/* Carries out the steps from word `first` to before word `end`, and ends the process after the last. */
static _Noreturn void run(struct program *program, int32_t first, int32_t end)
{
	/* Where those end that are being tried: none of them are. */
	int32_t tried_until = first;

	for (int32_t step = first; step < end;) {
		const int32_t opcode = word(program, step) & OPCODE_MASK, index = step + 1;
		int32_t next = index + step_operands[opcode];
		int error = 0;

		if (opcode == STEP_TRY) {
			tried_until = next + word(program, index);
		} else if (opcode == STEP_SPAWN || opcode == STEP_INIT) {
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
	_exit(0);
}

static void reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	for (int signal = 1; signal < NSIG; signal++)
		sigaction(signal, &action, NULL);
}

/* Fills the program in from the arena: 0 or a negative errno. `pointers` is to be freed. */
static int32_t read_program(struct native_state *state, const int32_t *arguments, struct program *program)
{
	program->word_count = arguments[1];
	program->string_bytes = arguments[3];
	program->words = memory_at(state, arguments[0], (int64_t)program->word_count * 4);
	program->strings = memory_at(state, arguments[2], program->string_bytes);
	program->parent = getpid();
	if (!program->words || !program->strings)
		return -EFAULT;
	if (!is_well_formed(program))
		return -EINVAL;

	/* At least one word for each pointer, and one for each end of a list. */
	program->pointers = malloc(((size_t)program->word_count + 8) * sizeof(*program->pointers));
	return program->pointers ? 0 : -ENOMEM;
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
	result = read_program(state, arguments, &program);
	if (result)
		return integer_result(env, result);
	program.report = arguments[4];

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

/*
 * runStepsHere(wordsOffset, wordCount, stringsOffset, stringBytes): carries the steps out in this process, none of which
 * may start another. Returns after the last of them, or -errno after one that fails.
 */
static napi_value run_steps_here(napi_env env, napi_callback_info info)
{
	int32_t arguments[4];
	struct native_state *state = read_arguments(env, info, 4, arguments);
	struct program program = { .report = -1 };
	int32_t result;

	if (!state)
		return integer_result(env, -EINVAL);
	result = read_program(state, arguments, &program);
	for (int32_t step = 0; !result && step < program.word_count;) {
		const int32_t opcode = word(&program, step) & OPCODE_MASK, index = step + 1;

		if (opcode == STEP_SPAWN || opcode == STEP_INIT || opcode == STEP_TRY) {
			result = -EINVAL;
			break;
		}
		result = -carry_out_step(&program, (enum opcode)opcode, index);
		if (word(&program, step) & MAY_FAIL)
			result = 0;
		step = index + step_operands[opcode];
		if (opcode == STEP_EXECUTE)
			step += length_of_lists(&program, index);
	}

	free(program.pointers);
	return integer_result(env, result);
}

/* Adds the functions of this file to the addon's exports. */
napi_value register_spawn(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "runSteps", run_steps },
		{ "runStepsHere", run_steps_here },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
