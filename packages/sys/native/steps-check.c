/* Checks whether a list of steps is well-formed. */
#include "steps.h"

static bool is_string(const struct program *program, int32_t offset)
{
	return offset >= 0 && offset < program->string_bytes;
}

/* Nesting of steps: a process that starts another one with such steps, and so on. */
#define DEEPEST_NESTING 16

/* True if the steps from word `step` up to, not including, word `last` are well-formed, and those nested in them. */
static bool are_well_formed(const struct program *program, int32_t step, int32_t last, int depth)
{
	while (step < last) {
		const int32_t opcode = word(program, step) & OPCODE_MASK, index = step + 1;

		if (opcode < 1 || opcode >= STEP_COUNT || index + step_operands[opcode] > last)
			return false;
		step = index + step_operands[opcode];

		switch (opcode) {
		case STEP_WRITE_FILE:
		case STEP_WRITE_CHILD_FILE:
			if (word(program, index + 2) < 0 || !is_string(program, word(program, index + 1)) ||
			    word(program, index + 2) >= program->string_bytes - word(program, index + 1))
				return false;
			/* fall through */
		case STEP_OPEN:
		case STEP_OPEN_CHILD_FILE:
		case STEP_PIVOT_ROOT:
		case STEP_COVER_INITRAMFS:
		case STEP_SET_VARIABLE:
		case STEP_KEEP_VARIABLES:
			if (!is_string(program, word(program, index)))
				return false;
			break;
		case STEP_ADD_OPTIONS:
			if (!is_string(program, word(program, index + 4)))
				return false;
			break;
		case STEP_FILTER_CALLS:
			if (word(program, index + 1) < 0 || !is_string(program, word(program, index)) ||
			    word(program, index + 1) > program->string_bytes - word(program, index))
				return false;
			break;
		case STEP_MOUNT:
			for (int32_t operand = 0; operand < 3; operand++) {
				if (!is_string(program, word(program, index + operand)))
					return false;
			}
			break;
		case STEP_SPAWN:
		case STEP_SPAWN_HELPER:
		case STEP_TRY:
		case STEP_ONLY_IF: {
			const int32_t length = word(program, step - 1);

			if ((opcode == STEP_SPAWN_HELPER && !is_string(program, word(program, index))) ||
			    (opcode == STEP_ONLY_IF && !is_string(program, word(program, index + 2))))
				return false;
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

bool is_well_formed(const struct program *program)
{
	if (program->string_bytes < 1 || program->strings[program->string_bytes - 1] != '\0')
		return false;
	return are_well_formed(program, 0, program->word_count, 0);
}
