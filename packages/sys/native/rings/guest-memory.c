/*
 * The memory of a virtual machine, mapped from files that another program shares with us.
 *
 * The other program may truncate such a file. What lay beyond its new end is then still mapped, and using it raises
 * SIGBUS. The signal's handler maps zeros over the whole region and marks the memory as lost; the interrupted access
 * then goes on with them. The ring's call notices the mark when it is done. Only the memory that the thread works on at
 * that moment is treated so: any other SIGBUS goes to the handler that was there before.
 */
#include "rings.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * One for the process, like the signal's action. The key's value is the memory that a thread is working on: unlike a
 * variable of the thread, reading it in a signal handler never allocates.
 */
static struct {
	pthread_once_t once;
	pthread_key_t memory;
	struct sigaction previous;
	int error;
} faults = { .once = PTHREAD_ONCE_INIT };

static bool contains(const struct mapping *mapping, const uint8_t *address)
{
	return mapping->start && address >= mapping->start && address < mapping->start + mapping->length;
}

static const struct mapping *mapping_of(const struct guest_memory *memory, const uint8_t *address)
{
	for (uint32_t i = 0; i < memory->count; i++) {
		if (contains(&memory->regions[i].mapping, address))
			return &memory->regions[i].mapping;
	}
	return contains(&memory->log_mapping, address) ? &memory->log_mapping : NULL;
}

static bool map_zeros(uint8_t *start, size_t length)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;

	return mmap(start, length, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED;
}

/* Returns false if the address isn't in memory that this thread is working on. */
static bool lose(uint8_t *address)
{
	struct guest_memory *memory = pthread_getspecific(faults.memory);
	const struct mapping *mapping = memory ? mapping_of(memory, address) : NULL;

	if (!mapping)
		return false;
	memory->is_lost = 1;
	/* Where memory is strictly accounted for, there may be none for all of it. */
	return map_zeros(mapping->start, mapping->length) ||
	       map_zeros(address - (uintptr_t)address % mapping->block, mapping->block);
}

/* SIGBUS: only async-signal-safe calls. */
static void on_fault(int signal, siginfo_t *info, void *context)
{
	const int error = errno;

	/* A positive code: the kernel's own, for an access of this thread. */
	if (info->si_code > 0 && lose(info->si_addr)) {
		errno = error;
		return;
	}
	if (faults.previous.sa_flags & SA_SIGINFO) {
		faults.previous.sa_sigaction(signal, info, context);
	} else if (faults.previous.sa_handler != SIG_DFL && faults.previous.sa_handler != SIG_IGN) {
		faults.previous.sa_handler(signal);
	} else if (info->si_code > 0 || faults.previous.sa_handler == SIG_DFL) {
		struct sigaction usual = { .sa_handler = SIG_DFL };

		sigaction(signal, &usual, NULL);
		/* An access is repeated and fails again. A signal that was sent has to be sent again. */
		if (info->si_code <= 0)
			raise(signal);
	}
	errno = error;
}

static void catch_faults(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	faults.error = pthread_key_create(&faults.memory, NULL);
	if (faults.error)
		return;
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, NULL, &faults.previous) || sigaction(SIGBUS, &action, NULL))
		faults.error = errno;
}

struct guest_memory *guest_memory_create(void)
{
	pthread_once(&faults.once, catch_faults);
	if (faults.error) {
		errno = faults.error;
		return NULL;
	}
	return calloc(1, sizeof(struct guest_memory));
}

static void unmap(struct mapping *mapping)
{
	if (mapping->start)
		munmap(mapping->start, mapping->length);
	mapping->start = NULL;
}

void guest_memory_clear(struct guest_memory *memory)
{
	for (uint32_t i = 0; i < memory->count; i++)
		unmap(&memory->regions[i].mapping);
	unmap(&memory->log_mapping);
	memory->log = NULL;
	memory->count = memory->hit = 0;
	memory->is_lost = 0;
}

void guest_memory_free(struct guest_memory *memory)
{
	guest_memory_clear(memory);
	free(memory);
}

/* fstat(), which glibc exports since 2.33 only. The structure is the kernel's own on these architectures. */
static int status_of(int descriptor, struct stat *status)
{
#if (defined(__x86_64__) && !defined(__ILP32__)) || defined(__aarch64__)
	return (int)syscall(SYS_fstat, descriptor, status);
#else
	return fstat(descriptor, status);
#endif
}

/*
 * Maps a range of a file, for reading and writing. Offset and length need not be multiples of its pages, so more than
 * the range may be mapped; `host` is where the range begins.
 */
static int32_t map_file(int descriptor, uint64_t offset, uint64_t bytes, struct mapping *mapping, uint8_t **host)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct stat status;
	size_t block = page, before, length;
	int64_t preferred;
	void *start;

	if (status_of(descriptor, &status))
		return -errno;
	if (bytes == 0 || bytes > INT64_MAX / 2 || offset > INT64_MAX / 2)
		return -EINVAL;
	if (S_ISREG(status.st_mode) && offset + bytes > (uint64_t)status.st_size)
		return -EINVAL;
	/* For a file of huge pages, their size. */
	preferred = status.st_blksize;
	if (preferred > (int64_t)page && (preferred & (preferred - 1)) == 0)
		block = (size_t)preferred;
	before = offset % block;
	length = (bytes + before + block - 1) & ~(block - 1);
	start = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor,
		     (off_t)(offset - before));
	if (start == MAP_FAILED)
		return -errno;
	/* Only huge pages are where their size says. Other file systems just prefer such lengths. */
	if ((uintptr_t)start % block)
		block = page;
	*mapping = (struct mapping){ .start = start, .length = length, .block = block };
	*host = (uint8_t *)start + before;
	return 0;
}

/* Neither range is empty or goes beyond the last address. */
static bool overlap(uint64_t one, uint64_t one_bytes, uint64_t other, uint64_t other_bytes)
{
	return one < other ? other - one < one_bytes : one - other < other_bytes;
}

int32_t guest_memory_add(struct guest_memory *memory, int descriptor, const struct region_record *record)
{
	const uint64_t bytes = record->bytes;
	struct region added = { .address = record->address, .user = record->user, .bytes = bytes };
	int32_t result;

	if (bytes == 0 || bytes - 1 > UINT64_MAX - record->address || bytes - 1 > UINT64_MAX - record->user)
		return -EINVAL;
	for (uint32_t i = 0; i < memory->count; i++) {
		const struct region *other = &memory->regions[i];

		if (overlap(record->address, bytes, other->address, other->bytes) ||
		    overlap(record->user, bytes, other->user, other->bytes))
			return -EINVAL;
	}
	if (memory->count == MAXIMUM_REGIONS)
		return -ENOSPC;
	result = map_file(descriptor, record->offset, bytes, &added.mapping, &added.host);
	if (result == 0)
		memory->regions[memory->count++] = added;
	return result;
}

int32_t guest_memory_remove(struct guest_memory *memory, const struct region_record *record)
{
	for (uint32_t i = 0; i < memory->count; i++) {
		struct region *region = &memory->regions[i];

		if (region->address != record->address || region->bytes != record->bytes || region->user != record->user)
			continue;
		unmap(&region->mapping);
		*region = memory->regions[--memory->count];
		memory->hit = 0;
		return 0;
	}
	return -ENOENT;
}

int32_t guest_memory_set_log(struct guest_memory *memory, int descriptor, uint64_t bytes, uint64_t offset)
{
	struct mapping mapping = { 0 };
	uint8_t *log = NULL;

	if (descriptor >= 0) {
		const int32_t result = map_file(descriptor, offset, bytes, &mapping, &log);

		if (result)
			return result;
	}
	unmap(&memory->log_mapping);
	memory->log_mapping = mapping;
	memory->log = log;
	memory->log_bytes = bytes;
	return 0;
}

void guest_memory_enter(struct guest_memory *memory)
{
	pthread_setspecific(faults.memory, memory);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

bool guest_memory_leave(struct guest_memory *memory)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	pthread_setspecific(faults.memory, NULL);
	return !memory->is_lost;
}

const struct region *guest_memory_find(struct guest_memory *memory, uint64_t address)
{
	for (uint32_t i = 0; i < memory->count; i++) {
		const struct region *region = &memory->regions[i];

		if (address - region->address < region->bytes) {
			memory->hit = i;
			return region;
		}
	}
	return NULL;
}

void *guest_memory_at_user(const struct guest_memory *memory, uint64_t user, uint64_t bytes)
{
	for (uint32_t i = 0; i < memory->count; i++) {
		const struct region *region = &memory->regions[i];
		const uint64_t offset = user - region->user;

		if (offset < region->bytes)
			return bytes <= region->bytes - offset ? region->host + offset : NULL;
	}
	return NULL;
}

/* What was written before is visible before the bit is. */
static void set_bit(uint8_t *byte, unsigned int bit)
{
#if defined(__aarch64__)
	/* Compilers may call a function for it that not all C libraries can serve. */
	uint32_t value, failed;

	do
		__asm__ __volatile__("ldxrb %w0, [%2]\n\torr %w0, %w0, %w3\n\tstlxrb %w1, %w0, [%2]"
				     : "=&r"(value), "=&r"(failed)
				     : "r"(byte), "r"(1U << bit)
				     : "memory");
	while (failed);
#else
	__atomic_fetch_or(byte, (uint8_t)(1U << bit), __ATOMIC_RELEASE);
#endif
}

void guest_memory_log(struct guest_memory *memory, uint64_t address, uint64_t bytes)
{
	const uint64_t first = address / LOGGED_PAGE, last = (address + bytes - 1) / LOGGED_PAGE;

	if (!memory->log || bytes == 0)
		return;
	for (uint64_t page = first; page <= last && page / 8 < memory->log_bytes; page++)
		set_bit(&memory->log[page / 8], page % 8);
}
