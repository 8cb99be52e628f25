/* Giving up privileges for good. Between fork() and execve() only async-signal-safe calls are allowed: see spawn.c. */
#include "steps.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* The same number on all architectures; headers may be older than the kernel. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define LANDLOCK_RULE_OF_PATH 1
extern char **environ;

/* Linux has 41 capabilities (7.0), and room for 64. */
#define CAPABILITY_LIMIT 64

/*
 * Takes all capabilities but those of a mask from this process, and from the bounding set, which limits what an
 * executed program can acquire: capabilities(7). Steps that need no privilege come first.
 */
int limit_capabilities(uint32_t low, uint32_t high)
{
	const uint32_t kept[] = { low, high };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	int error = 0;

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL) && errno != EINVAL)
		return errno;
	for (unsigned long capability = 0; capability < CAPABILITY_LIMIT; capability++) {
		if (kept[capability / 32] >> capability % 32 & 1)
			continue;
		/* EINVAL: the kernel doesn't have this capability. */
		if (prctl(PR_CAPBSET_DROP, capability, 0UL, 0UL, 0UL) && errno != EINVAL)
			error = errno;
	}
	if (syscall(SYS_capget, &header, sets))
		return errno;
	for (int half = 0; half < _LINUX_CAPABILITY_U32S_3; half++) {
		sets[half].permitted &= kept[half];
		sets[half].effective &= kept[half];
		sets[half].inheritable = 0;
	}
	return syscall(SYS_capset, &header, sets) ? errno : error;
}

/*
 * Mounts the root once more on top of itself, with all mounts below it, and makes that the root of this process, if the
 * root may be an initramfs, which pivot_root() can't leave: pivot_root(2), NOTES. Processes that run already keep the
 * root below. The process must have a mount namespace of its own.
 */
int cover_initramfs(const char *place)
{
	char folder[PATH_MAX];
	struct statfs root;
	int error;

	if (statfs("/", &root))
		return errno;
	if (root.f_type != RAMFS_MAGIC && root.f_type != TMPFS_MAGIC)
		return 0;
	if (!getcwd(folder, sizeof(folder)) || mount("/", place, "", MS_BIND | MS_REC, NULL))
		return errno;
	if (chdir(place) || mount(".", "/", "", MS_MOVE, NULL) || chroot(".")) {
		error = errno;
		umount2(place, MNT_DETACH);
	} else
		error = 0;
	return chdir(folder) && !error ? errno : error;
}

/*
 * Makes a mount the root of this mount namespace, for every process whose root was the old one. Detaches the old root
 * with all mounts below it: pivot_root(2), "pivot_root(".", ".")".
 */
int pivot_into(const char *path)
{
	if (chdir(path) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
		return errno;
	return 0;
}

/* Maps a user or group of a new user namespace to the same number outside. */
static int map_to_itself(const char *file, unsigned int number)
{
	char line[64], *end = line;

	end = append_number(end, number);
	end = append_text(end, " ");
	end = append_number(end, number);
	end = append_text(end, " 1");
	return write_file(file, line, (size_t)(end - line));
}

/*
 * Unshares a user namespace, and others named by the flags. The new namespace maps this process's user and group to
 * themselves, and nobody else. Without privileges, a group can be mapped only once supplementary groups can't be
 * dropped any more: user_namespaces(7).
 */
int unshare_user(int flags)
{
	const unsigned int user = geteuid(), group = getegid();
	int error;

	/* Without /proc, the maps couldn't be written and we would be nobody in the new namespace. */
	if (access("/proc/self/uid_map", F_OK) || unshare(flags | CLONE_NEWUSER))
		return errno;
	error = write_file("/proc/self/setgroups", "deny", 4);
	if (!error)
		error = map_to_itself("/proc/self/uid_map", user);
	return error ? error : map_to_itself("/proc/self/gid_map", group);
}

/*
 * Waits for the path of a folder, which ends with NUL, and mounts that folder on itself; an empty path mounts nothing.
 * If the other end is closed instead, the process ends silently.
 */
int mount_received(int descriptor)
{
	char path[PATH_MAX];
	ssize_t length;

	do
		length = read(descriptor, path, sizeof(path));
	while (length < 0 && errno == EINTR);
	if (length == 0)
		_exit(STATUS_FAILED);
	if (length < 0)
		return errno;
	if (path[length - 1])
		return ENAMETOOLONG;
	return *path && mount(path, path, "", MS_BIND, NULL) ? errno : 0;
}

static bool begins_with_one_of(const char *text, const char *beginnings)
{
	while (*beginnings) {
		const size_t length = strcspn(beginnings, " ");

		if (!strncmp(text, beginnings, length))
			return true;
		beginnings += length + strspn(beginnings + length, " ");
	}
	return false;
}

/* Removes all variables from the environment except those that begin with one of these words. */
void keep_variables(const char *beginnings)
{
	char **kept = environ;

	for (char **each = environ; *each; each++) {
		if (begins_with_one_of(*each, beginnings))
			*kept++ = *each;
	}
	*kept = NULL;
}

/*
 * Overwrites the variables of the environment: those that the kernel has put between the arguments and the path of what
 * was executed, where /proc shows them, and those that were set since. The first ones stay if they were unset or set
 * again: nothing names their place.
 */
void wipe_variables(void)
{
	char *const arguments = program_invocation_name, *const end = (char *)getauxval(AT_EXECFN), *first = end;

	for (char **each = environ; each && *each; each++) {
		if (*each <= arguments || *each >= end)
			memset(*each, 0, strlen(*each));
		else if (*each < first)
			first = *each;
	}
	memset(first, 0, (size_t)(end - first));
}

/* Installs a BPF program that filters each system call of this thread from now on, or, by a flag, of all threads. */
int filter_calls(const void *instructions, size_t length, unsigned int flags)
{
	const size_t count = length / sizeof(struct sock_filter);
	struct sock_fprog program = { .len = (unsigned short)count, .filter = (struct sock_filter *)instructions };
	long result;

	if (count > BPF_MAXINSNS)
		return EINVAL;
	result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	/* A positive result is the id of a thread that can't have the filter. */
	return result < 0 ? errno : result > 0 ? EBUSY : 0;
}

/*
 * Gives up the access that `files` and `scopes` name, masks of LANDLOCK_ACCESS_FS_… and LANDLOCK_SCOPE_…, by Landlock:
 * landlock(7). If `folder` is an open folder, the access in `allowed` is kept below it. `flags` are
 * LANDLOCK_RESTRICT_SELF_….
 */
int restrict_self(uint32_t files, uint32_t scopes, uint32_t flags, int folder, uint32_t allowed)
{
	const struct {
		uint64_t files, network, scopes;
	} attributes = { .files = files, .scopes = scopes };
	const struct {
		uint64_t allowed;
		int32_t folder;
	} __attribute__((packed)) rule = { .allowed = allowed, .folder = folder };
	const int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0u);
	int error = 0;

	if (ruleset < 0)
		return errno;
	if ((folder >= 0 && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_OF_PATH, &rule, 0u)) ||
	    syscall(SYS_landlock_restrict_self, ruleset, flags))
		error = errno;
	close(ruleset);
	return error;
}
