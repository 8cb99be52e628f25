/*
 * Lists that are carried out under conditions, written before it is known which process carries them out. Of several in
 * a row, only the first whose conditions hold is carried out.
 */
#include "steps.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * True if a map is that of the initial user namespace, or of one that numbers all users as it does: user_namespaces(7).
 */
static bool is_map_of_everybody(const char *path)
{
	const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
	char text[128], *at = text;
	ssize_t length;

	if (descriptor < 0)
		return false;
	length = read(descriptor, text, sizeof(text) - 1);
	close(descriptor);
	text[length < 0 ? 0 : length] = '\0';
	return *at && strtoul(at, &at, 10) == 0 && strtoul(at, &at, 10) == 0 && strtoul(at, &at, 10) == UINT32_MAX &&
	       !strcmp(at, "\n");
}

/* True if this process may do everything on this machine, as isRoot() in TypeScript defines it. */
static bool is_root(void)
{
	return geteuid() == 0 && is_map_of_everybody("/proc/self/uid_map") && is_map_of_everybody("/proc/self/gid_map");
}

static bool has_capability(unsigned int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	return capability < 32 * _LINUX_CAPABILITY_U32S_3 && !syscall(SYS_capget, &header, sets) &&
	       (sets[capability / 32].effective >> capability % 32 & 1);
}

static bool has_argument(char **command, const char *beginning)
{
	for (; command && *command; command++) {
		if (!strncmp(*command, beginning, strlen(beginning)))
			return true;
	}
	return false;
}

/*
 * Operands: 1 to require root; a capability that has to be effective, or -1; a prefix of one of the command's
 * arguments, or "".
 */
bool is_chosen(struct program *program, int32_t index)
{
	const int32_t for_root = word(program, index), capability = word(program, index + 1);
	const char *beginning = program->strings + word(program, index + 2);

	if (program->has_chosen || (for_root && !is_root()) ||
	    (capability >= 0 && !has_capability((unsigned int)capability)) ||
	    (*beginning && !has_argument(program->command, beginning)))
		return false;
	program->has_chosen = true;
	return true;
}

static int64_t double_word(const struct program *program, int32_t index)
{
	return (int64_t)((uint64_t)(uint32_t)word(program, index + 1) << 32 | (uint32_t)word(program, index));
}

/*
 * Operands: length in bytes of the executable that the options are for, and the time of its last change, in seconds
 * since the epoch, two words each; the options. Another executable may not know these options.
 */
int add_options(struct program *program, int32_t index)
{
	char *at = program->strings + word(program, index + 4), **command = program->command, **longer;
	struct stat status;
	size_t count = 0, next = 1;

	if (!command || status_at(AT_FDCWD, program->executable, &status, 0) ||
	    status.st_size != double_word(program, index) || status.st_mtime != double_word(program, index + 2))
		return 0;
	while (command[count])
		count++;
	/* Each option but the last is followed by a space. */
	longer = malloc((count + strlen(at) + 2) * sizeof(*longer));
	if (!longer)
		return ENOMEM;
	longer[0] = command[0];
	for (char *option = strtok(at, " "); option; option = strtok(NULL, " "))
		longer[next++] = option;
	memcpy(longer + next, command + 1, count * sizeof(*longer));
	program->command = longer;
	return 0;
}
