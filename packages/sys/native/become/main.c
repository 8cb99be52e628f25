/*
 * become FILE COMMAND [ARGUMENT…]: carries out the list of steps in a file, and executes a command.
 *
 * A runtime can't create a user namespace once it has threads, which it has from its first instruction. So a program
 * that confines its data path is started by this one, and stays one process: wall/birth.ts of @demiflow/program writes
 * the list, and explains its purpose. The file was written where the program was installed, with the opcodes that this
 * executable was compiled with.
 *
 * The command runs whatever fails. A step of the list records in the environment how much was done.
 */
#include "../steps.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

extern char **environ;

/* Of the file: number of opcodes, words of the list, bytes of its strings. Words and strings follow. */
#define HEADER_WORDS 3

/* A larger file is no list of ours. */
#define LARGEST_FILE (1 << 20)

static bool read_all(int descriptor, char *into, size_t length)
{
	for (size_t at = 0; at < length;) {
		ssize_t count = read(descriptor, into + at, length - at);

		if (count <= 0)
			return false;
		at += (size_t)count;
	}
	return true;
}

/* Reads the program from a file; false on failure. The memory is never freed. */
static bool read_program(const char *path, struct program *program)
{
	const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	int32_t header[HEADER_WORDS];
	char *bytes = NULL;
	bool is_read = false;

	if (descriptor < 0)
		return false;
	if (!fstat(descriptor, &status) && status.st_size > (off_t)sizeof(header) && status.st_size <= LARGEST_FILE) {
		bytes = malloc((size_t)status.st_size);
		is_read = bytes && read_all(descriptor, bytes, (size_t)status.st_size);
	}
	close(descriptor);
	if (!is_read)
		return false;

	memcpy(header, bytes, sizeof(header));
	if (header[0] != STEP_COUNT || header[1] < 0 || header[1] > LARGEST_FILE / 4 || header[2] < 1 ||
	    status.st_size != (off_t)sizeof(header) + (off_t)header[1] * 4 + header[2])
		return false;
	program->words = (const uint8_t *)bytes + sizeof(header);
	program->word_count = header[1];
	program->strings = bytes + sizeof(header) + (size_t)header[1] * 4;
	program->string_bytes = header[2];
	program->pointers = malloc(((size_t)program->word_count + 8) * sizeof(*program->pointers));
	return program->pointers && is_well_formed(program);
}

/* Searches PATH for an executable, and stores its path in `path`; false if there is none. */
static bool find(const char *name, char path[PATH_MAX])
{
	const char *folder = getenv("PATH");

	while (folder && *folder) {
		const size_t length = strcspn(folder, ":");
		const int written = length ? snprintf(path, PATH_MAX, "%.*s/%s", (int)length, folder, name) :
					     snprintf(path, PATH_MAX, "%s", name);
		struct stat status;

		if (written < PATH_MAX && !access(path, X_OK) && !stat(path, &status) && S_ISREG(status.st_mode))
			return true;
		folder += length + (folder[length] == ':');
	}
	return false;
}

/*
 * True if the executable is the named program itself, and not a launcher that finds the real one: a script, or a link
 * to a program that dispatches on its own name. A launcher may need what the steps give up, and so may a program that
 * gains privileges from its file.
 */
static bool is_itself(const char *path, const char *name)
{
	char real[PATH_MAX], magic[4] = "";
	const char *base;
	struct stat status;
	int descriptor;

	if (!realpath(path, real) || stat(real, &status) || (status.st_mode & (S_ISUID | S_ISGID)))
		return false;
	base = strrchr(real, '/') + 1;
	if (strncmp(base, name, strlen(name)) || getxattr(real, "security.capability", NULL, 0) >= 0)
		return false;
	descriptor = open(real, O_RDONLY | O_CLOEXEC);
	if (descriptor < 0)
		return false;
	if (!read_all(descriptor, magic, sizeof(magic)))
		magic[0] = '\0';
	close(descriptor);
	return !memcmp(magic, "\177ELF", sizeof(magic));
}

int main(int count, char **arguments)
{
	struct program program = { .report = -1 };
	char found[PATH_MAX], *name, *path;

	if (count < 3) {
		fprintf(stderr, "usage: become FILE COMMAND [ARGUMENT...]\n");
		return STATUS_NOT_FOUND;
	}
	name = path = arguments[2];
	program.parent = getpid();
	program.command = arguments + 2;
	/* A path is the caller's decision; a bare name may resolve to anything. */
	if (!strchr(name, '/'))
		path = find(name, found) && is_itself(found, name) ? found : NULL;
	program.executable = path;
	if (path && read_program(arguments[1], &program)) {
		carry_out_steps(&program, 0, program.word_count);
		execv(path, program.command);
	} else
		execvp(name, program.command);
	fprintf(stderr, "%s: %s\n", name, strerror(errno));
	return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
}
