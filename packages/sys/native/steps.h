/*
 * Lists of steps that a process carries out before a runtime exists in it: spawn.c explains why, and steps-run.c which
 * rules hold.
 */
#ifndef DEMIFLOW_STEPS_H
#define DEMIFLOW_STEPS_H

#include "native.h"

#include <sys/types.h>

/*
 * What the init of a PID namespace hears of STEP_END_WITH_PIPE: of those that are queued, so that one that is pending
 * hides no other.
 */
#define END_OF_PIPE SIGRTMAX

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
	STEP_KEEP_CAPABILITIES,
	STEP_LIMIT_CAPABILITIES,
	STEP_PIVOT_ROOT,
	STEP_FILTER_CALLS,
	STEP_TRY,
	STEP_RESTRICT,
	STEP_AWAIT_CHILD,
	STEP_SPAWN_HELPER,
	STEP_UNSHARE_USER,
	STEP_MOUNT_RECEIVED,
	STEP_SET_VARIABLE,
	STEP_ONLY_IF,
	STEP_KEEP_VARIABLES,
	STEP_ADD_OPTIONS,
	STEP_CLOSE_FROM,
	STEP_WIPE_VARIABLES,
	STEP_END_WITH_PIPE,
	STEP_COVER_INITRAMFS,
	STEP_COUNT
};

#define OPCODE_MASK 0xff
#define MAY_FAIL 0x100

/* How many words follow each opcode. STEP_EXECUTE has lists after these. */
extern const uint8_t step_operands[STEP_COUNT];

/* Exit statuses of a process that could not carry out its steps; the last two are those of shells. */
#define STATUS_FAILED 1
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND 127

struct program {
	const uint8_t *words;
	int32_t word_count;
	char *strings;
	int32_t string_bytes;
	/* Room for the strings of the longest STEP_EXECUTE, and for a shell before them. */
	char **pointers;
	int report;
	/* The process that started this one, and the one that this one started last. */
	pid_t parent, child;
	/* The command that this process will execute, with its arguments, and its executable; NULL: none. */
	char **command;
	const char *executable;
	/* One of the lists of STEP_ONLY_IF was chosen. */
	bool has_chosen;
};

static inline int32_t word(const struct program *program, int32_t index)
{
	return load_int32(program->words + (size_t)index * 4);
}

static inline int32_t length_of_lists(const struct program *program, int32_t index)
{
	const int32_t variables = word(program, index + 2);

	return word(program, index) + word(program, index + 1) + (variables > 0 ? variables : 0);
}

/*
 * In steps-check.c. Called before anything is done, so that a mistake in the list can't misdirect a half-started
 * process.
 */
bool is_well_formed(const struct program *program);

/*
 * In steps-run.c: carries out the steps from word `first` up to, not including, word `end`. Ends the process if a step
 * fails that may not.
 */
void carry_out_steps(struct program *program, int32_t first, int32_t end);
/* As fork(): the child continues on a copy of the stack. */
pid_t clone_process(unsigned long flags);

/* In steps-choose.c: whether the steps after a condition are to be carried out. */
bool is_chosen(struct program *program, int32_t index);

/* In steps-choose.c: adds options to the command, if it is the one that they are for. Returns 0 or an errno. */
int add_options(struct program *program, int32_t index);

/* In steps.c: carries out one step. Returns 0 or an errno. Steps that contain steps are not carried out there. */
int carry_out_step(struct program *program, enum opcode opcode, int32_t index);

/* In steps-wall.c: giving up privileges. Each returns 0 or an errno. */
int limit_capabilities(uint32_t low, uint32_t high);
int cover_initramfs(const char *place);
int pivot_into(const char *path);
int filter_calls(const void *instructions, size_t length, unsigned int flags);
int restrict_self(uint32_t files, uint32_t scopes, uint32_t flags, int folder, uint32_t allowed);
int unshare_user(int flags);
int mount_received(int descriptor);
void keep_variables(const char *beginnings);
void wipe_variables(void);

/* In steps.c: closes all descriptors from one on. */
void close_from(int first);

/* In steps.c: writes an existing file with one call. Returns 0 or an errno. */
int write_file(const char *path, const void *bytes, size_t length);

/* In steps.c: append text or a number to a string, and return the new end. */
char *append_text(char *at, const char *text);
char *append_number(char *at, unsigned int number);

#endif
