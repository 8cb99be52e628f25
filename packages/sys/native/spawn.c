/*
 * Starts processes that must act before a runtime exists in them.
 *
 * A multi-threaded process may neither create nor join a user namespace, and Node.js has threads from its first
 * instruction. runSteps() forks a child, which is single-threaded until it executes a program. The child carries out a
 * list of system calls that TypeScript decided on and wrote to the arena: steps-run.c.
 */
#include "steps.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	for (int signal = 1; signal < NSIG; signal++)
		sigaction(signal, &action, NULL);
}

/* Fills the program in from the arena. Returns 0 or a negative errno. The caller frees `pointers`. */
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

	/* Each pointer takes at least one word, and so does the end of each list. */
	program->pointers = malloc(((size_t)program->word_count + 8) * sizeof(*program->pointers));
	return program->pointers ? 0 : -ENOMEM;
}

/* runSteps(wordsOffset, wordCount, stringsOffset, stringBytes, reportDescriptor): the child's process id or -errno */
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
		carry_out_steps(&program, 0, program.word_count);
		_exit(0);
	}
	if (result < 0)
		result = -errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);

	free(program.pointers);
	return integer_result(env, result);
}

/*
 * runStepsHere(wordsOffset, wordCount, stringsOffset, stringBytes): carries the steps out in this process; none may
 * start another process. Returns after the last step, or -errno after one that fails.
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

		if (opcode == STEP_SPAWN || opcode == STEP_INIT || opcode == STEP_TRY ||
		    opcode == STEP_SPAWN_HELPER || opcode == STEP_ONLY_IF) {
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
