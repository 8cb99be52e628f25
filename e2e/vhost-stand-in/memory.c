// Guest memory: one memfd, cut into regions with holes between them in the guest's address space. What is allocated is
// at the ends of the regions, so that offsets are large where there is much memory; pages that nobody uses take none.
#include "vhost.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define HOLE BIT(21)

static uint8_t *start;
static int file;
static unsigned count;
static uint64_t regionBytes, base, free_[REGIONS_MAX];
static uint8_t *log_;
static uint64_t logBytes;

void memory_create(const struct options *options) {
  count = options->regions;
  base = options->base;
  regionBytes = options->memory / count & ~(BIT(21) - 1);
  file = memfd_create("guest", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, (off_t)(regionBytes * count))) fail("memory");
  start = mmap(NULL, regionBytes * count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  if (start == MAP_FAILED) fail("memory");
  for (unsigned i = 0; i < count; i++) free_[i] = regionBytes;
}

void *memory_allocate(unsigned number, uint64_t bytes, uint64_t alignment) {
  for (unsigned i = 0; i < count; i++) {
    unsigned region = (number + i) % count;
    if (free_[region] < bytes) continue;
    free_[region] = (free_[region] - bytes) & ~(alignment - 1);
    return start + region * regionBytes + free_[region];
  }
  errno = ENOMEM;
  fail("guest memory");
  return NULL;
}

static uint64_t guest_start(unsigned region) { return base + region * (regionBytes + HOLE); }

uint64_t guest_address(const void *memory) {
  uint64_t offset = (uint64_t)((const uint8_t *)memory - start);
  return guest_start((unsigned)(offset / regionBytes)) + offset % regionBytes;
}

void memory_announce(int slots) {
  struct message_region regions[REGIONS_MAX];
  int descriptors[REGIONS_MAX];
  for (unsigned i = 0; i < count; i++) {
    descriptors[i] = file;
    regions[i] = (struct message_region){guest_start(i), regionBytes, (uint64_t)(start + i * regionBytes),
                                         i * regionBytes};
  }
  send_regions(regions, descriptors, count, slots);
}

void memory_truncate(void) {
  if (ftruncate(file, 0)) fail("taking memory away");
}

void memory_log(void) {
  uint64_t pages = (guest_start(count - 1) + regionBytes) / PAGE_BYTES;
  logBytes = (pages / 8 + PAGE_BYTES) & ~(uint64_t)(PAGE_BYTES - 1);
  int shared = memfd_create("log", MFD_CLOEXEC);
  if (shared < 0 || ftruncate(shared, (off_t)logBytes)) fail("log");
  log_ = mmap(NULL, logBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, shared, 0);
  if (log_ == MAP_FAILED) fail("log");
  send_log(logBytes, shared);
}

int memory_logged(const void *memory, uint64_t bytes) {
  uint64_t first = guest_address(memory), last = first + bytes - 1;
  for (uint64_t page = first / PAGE_BYTES; page <= last / PAGE_BYTES; page++) {
    if ((__atomic_load_n(&log_[page / 8], __ATOMIC_ACQUIRE) >> page % 8 & 1) == 0) return 0;
  }
  return 1;
}
