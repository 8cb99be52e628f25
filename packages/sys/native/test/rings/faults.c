/*
 * SIGBUS, for memory of a guest and for other memory: what the process does about it depends on the handler that was
 * there before, so each case is a process of its own.
 */
#include "../../rings/rings.h"

#include <linux/memfd.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define HUGE_PAGE (2 * 1024 * 1024)

#define CHECK(condition)                                                                         \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1);                                                                \
		}                                                                                \
	} while (0)

static sigjmp_buf back;

static void leave(int signal)
{
	siglongjmp(back, signal);
}

static void leave_with_details(int signal, siginfo_t *info, void *context)
{
	(void)context;
	siglongjmp(back, info->si_code > 0 ? signal : -1);
}

static int file_of(size_t bytes, unsigned int flags)
{
	const int file = memfd_create("guest", flags);

	if (file >= 0)
		CHECK(ftruncate(file, (off_t)bytes) == 0);
	return file;
}

/* Uses memory that isn't there and that no guest has to do with. */
static void use_other_memory(void)
{
	const int file = file_of(PAGE, 0);
	volatile uint8_t *memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);

	CHECK(memory != MAP_FAILED && ftruncate(file, 0) == 0);
	(void)*memory;
}

static struct guest_memory *memory_of(int file, size_t bytes, uint64_t offset)
{
	struct guest_memory *memory = guest_memory_create();
	const struct region_record record = { .bytes = bytes, .offset = offset };

	CHECK(memory);
	CHECK(guest_memory_add(memory, file, &record) == 0);
	return memory;
}

/* The handler works at all. */
static void lose_memory(void)
{
	const int file = file_of(4 * PAGE, 0);
	struct guest_memory *memory = memory_of(file, 4 * PAGE, 0);
	volatile uint8_t *at = guest_memory_at_user(memory, 3 * PAGE, 1);

	guest_memory_enter(memory);
	*at = 1;
	CHECK(guest_memory_leave(memory));
	CHECK(ftruncate(file, 2 * PAGE) == 0);
	guest_memory_enter(memory);
	CHECK(*at == 0);
	*at = 2;
	CHECK(*at == 2 && *(at - 2 * PAGE) == 0);
	CHECK(!guest_memory_leave(memory));
	guest_memory_free(memory);
}

static void with_default(void)
{
	lose_memory();
	use_other_memory();
}

/* Also while this thread works on a guest's memory. */
static void with_handler(void)
{
	const int file = file_of(PAGE, 0);
	struct guest_memory *memory;

	CHECK(signal(SIGBUS, leave) != SIG_ERR);
	lose_memory();
	memory = memory_of(file, PAGE, 0);
	guest_memory_enter(memory);
	if (!sigsetjmp(back, 1))
		use_other_memory();
	CHECK(guest_memory_leave(memory));
	if (!sigsetjmp(back, 1))
		raise(SIGBUS);
}

static void with_detailed_handler(void)
{
	struct sigaction action = { .sa_sigaction = leave_with_details, .sa_flags = SA_SIGINFO };
	int how;

	CHECK(sigaction(SIGBUS, &action, NULL) == 0);
	lose_memory();
	how = sigsetjmp(back, 1);
	if (how == 0)
		use_other_memory();
	CHECK(how == SIGBUS);
}

static void ignored(void)
{
	CHECK(signal(SIGBUS, SIG_IGN) != SIG_ERR);
	lose_memory();
	raise(SIGBUS);
	use_other_memory();
}

static void sent(void)
{
	lose_memory();
	raise(SIGBUS);
}

/*
 * Pages that are larger: neither the offset nor the length are multiples of theirs. There may be none in this machine,
 * and then using them is a fault as well.
 */
static void with_huge_pages(void)
{
	const int file = file_of(4 * HUGE_PAGE, MFD_HUGETLB | MFD_HUGE_2MB);
	struct guest_memory *memory;
	volatile uint8_t *at;

	if (file < 0)
		return;
	memory = memory_of(file, HUGE_PAGE + 2 * PAGE, HUGE_PAGE - PAGE);
	at = guest_memory_at_user(memory, HUGE_PAGE, 1);
	CHECK(ftruncate(file, HUGE_PAGE) == 0);
	guest_memory_enter(memory);
	CHECK(*at == 0);
	*at = 1;
	CHECK(!guest_memory_leave(memory));
	guest_memory_free(memory);
	CHECK(ftruncate(file, 4 * HUGE_PAGE) == 0);
	memory = memory_of(file, 4 * HUGE_PAGE, 0);
	guest_memory_free(memory);
}

/* Runs a case in a process of its own; `signal` is what ends it, or 0. */
static bool run(const char *name, void (*test)(void), int expected)
{
	int status;
	const pid_t child = fork();

	if (child == 0) {
		/* In place of the sanitizer's handler. */
		signal(SIGBUS, SIG_DFL);
		test();
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return false;
	if (expected ? WIFSIGNALED(status) && WTERMSIG(status) == expected : WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	fprintf(stderr, "%s: wait status %#x\n", name, status);
	return false;
}

int main(void)
{
	bool passed = run("default", with_default, SIGBUS);

	passed &= run("handler", with_handler, 0);
	passed &= run("detailed handler", with_detailed_handler, 0);
	passed &= run("ignored", ignored, SIGBUS);
	passed &= run("sent", sent, SIGBUS);
	passed &= run("huge pages", with_huge_pages, 0);
	return passed ? 0 : 1;
}
