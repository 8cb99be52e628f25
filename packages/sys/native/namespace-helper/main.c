/*
 * A process that acts in namespaces on behalf of a program outside of them.
 *
 * A process that enters a network namespace has privileges over it, and may then be within reach of the processes
 * there. A program that must stay out of their reach starts this helper, which enters the namespace and opens there
 * what the program needs. The helper takes requests from a socket, one message each, carries out one system call for
 * each, and answers with the result. It does not know what the calls are for. It ends when the other end of the socket
 * is closed.
 *
 *     namespace-helper DESCRIPTOR
 *
 * The helper must be executed outside: a process's memory belongs to the user namespace in which it executed its
 * program. A process that is privileged in another user namespace can't read or write that memory, or trace the process
 * (ptrace(2), "Ptrace access mode checking").
 *
 * A request is eight int32 in machine byte order, then bytes; an answer is one int32, a result or a negative errno,
 * then bytes. Descriptors are passed as SCM_RIGHTS of unix(7). helped-namespace.ts has the same numbers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum request {
	REQUEST_ENTER = 1, /* CLONE_NEW…; with a namespace's descriptor */
	REQUEST_OPEN,      /* flags; bytes: path. Returns a descriptor */
	REQUEST_SOCKETS,   /* domain, type, protocol, count. Returns the number of sockets, and their descriptors */
	REQUEST_WRITE,     /* bytes; with a descriptor */
	REQUEST_IOCTL,     /* request; bytes: the structure, which is returned; with a descriptor */
	REQUEST_BIND,      /* bytes: socket address; with a socket */
	REQUEST_IDENTIFY,  /* bytes: path, or with a descriptor. Returns four uint32: device (two), inode (low, high) */
	REQUEST_SEAL,      /* capabilities 0 to 31, 32 to 63 to keep; bytes: system call filter */
};

#define WORDS 8
#define MOST_BYTES 16384
#define MOST_DESCRIPTORS 16

struct message {
	union {
		int32_t words[WORDS];
		unsigned char bytes[WORDS * 4 + MOST_BYTES + 1];
	} data;
	size_t length;
	int descriptors[MOST_DESCRIPTORS];
	int descriptor_count;
};

union control {
	char bytes[CMSG_SPACE(sizeof(int) * MOST_DESCRIPTORS)];
	struct cmsghdr header;
};

static struct message request, answer;

/* Waits for the next request. Ends the process if the socket's other end is closed. */
static void receive_request(int socket)
{
	union control control;
	struct iovec vector = { .iov_base = request.data.bytes, .iov_len = sizeof(request.data) - 1 };
	struct msghdr header = {
		.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)
	};
	ssize_t length;

	memset(&request.data.words, 0, sizeof(request.data.words));
	do
		length = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	while (length < 0 && errno == EINTR);
	if (length <= 0)
		_exit(0);
	request.length = (size_t)length;
	request.data.bytes[length] = '\0';
	request.descriptor_count = 0;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part; part = CMSG_NXTHDR(&header, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		request.descriptor_count = (int)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(request.descriptors, CMSG_DATA(part), (size_t)request.descriptor_count * sizeof(int));
	}
}

static void send_answer(int socket)
{
	union control control = { 0 };
	const size_t bytes = sizeof(int) * (size_t)answer.descriptor_count;
	struct iovec vector = { .iov_base = answer.data.bytes, .iov_len = answer.length };
	struct msghdr header = { .msg_iov = &vector, .msg_iovlen = 1 };

	if (bytes) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(&control.header), answer.descriptors, bytes);
	}
	while (sendmsg(socket, &header, MSG_NOSIGNAL) < 0) {
		if (errno != EINTR)
			_exit(0);
	}
}

/* Returns how many sockets were opened, or why not even one was. */
static int32_t make_sockets(int32_t domain, int32_t type, int32_t protocol, int32_t count)
{
	while (answer.descriptor_count < count && answer.descriptor_count < MOST_DESCRIPTORS) {
		const int descriptor = socket(domain, type | SOCK_CLOEXEC, protocol);

		if (descriptor < 0)
			return answer.descriptor_count ? answer.descriptor_count : -errno;
		answer.descriptors[answer.descriptor_count++] = descriptor;
	}
	return answer.descriptor_count;
}

static int32_t open_file(const char *path, int32_t flags)
{
	const int descriptor = open(path, flags | O_CLOEXEC);

	if (descriptor < 0)
		return -errno;
	answer.descriptors[answer.descriptor_count++] = descriptor;
	return 0;
}

/* The kernel's struct statx, as far as it is needed: C libraries disagree on which header has it. */
struct found_file {
	uint32_t before_inode[8];
	uint64_t inode;
	uint32_t before_device[24];
	uint32_t device_major, device_minor;
	uint64_t reserved[14];
};

_Static_assert(sizeof(struct found_file) == 256 && offsetof(struct found_file, device_major) == 136, "struct statx");

/* STATX_INO */
#define WITH_INODE 0x100u

static int32_t identify(int descriptor, const char *path)
{
	struct found_file found;

	if (syscall(SYS_statx, descriptor, path, descriptor == AT_FDCWD ? 0 : AT_EMPTY_PATH, WITH_INODE, &found))
		return -errno;
	answer.data.words[1] = (int32_t)found.device_major;
	answer.data.words[2] = (int32_t)found.device_minor;
	answer.data.words[3] = (int32_t)(uint32_t)found.inode;
	answer.data.words[4] = (int32_t)(uint32_t)(found.inode >> 32);
	answer.length = 5 * sizeof(int32_t);
	return 0;
}

/* Gives up all capabilities but some, and the whole bounding set, and filters the system calls from now on. */
static int32_t seal(int32_t low, int32_t high, void *filter, size_t length)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	struct sock_fprog program = { .len = (unsigned short)(length / sizeof(struct sock_filter)), .filter = filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) || syscall(SYS_capget, &header, sets))
		return -errno;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL);
	/*
	 * The call fails for capabilities that the kernel doesn't have, and always without privilege: capabilities(7),
	 * "bounding set".
	 */
	for (unsigned long capability = 0; capability < 32 * _LINUX_CAPABILITY_U32S_3; capability++)
		prctl(PR_CAPBSET_DROP, capability, 0UL, 0UL, 0UL);
	for (int half = 0; half < _LINUX_CAPABILITY_U32S_3; half++) {
		sets[half].permitted &= (uint32_t)(half ? high : low);
		sets[half].effective = sets[half].permitted;
		sets[half].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, sets))
		return -errno;
	if (!program.len)
		return 0;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0UL, &program) ? -errno : 0;
}

static int32_t result_of(long result)
{
	return result < 0 ? -errno : (int32_t)result;
}

static int32_t carry_out(void)
{
	const int32_t *words = request.data.words;
	unsigned char *bytes = request.data.bytes + WORDS * 4;
	const size_t length = request.length - WORDS * 4;
	const int descriptor = request.descriptor_count ? request.descriptors[0] : -1;

	switch (words[0]) {
	case REQUEST_ENTER:
		return result_of(setns(descriptor, words[1]));
	case REQUEST_OPEN:
		return open_file((const char *)bytes, words[1]);
	case REQUEST_SOCKETS:
		return make_sockets(words[1], words[2], words[3], words[4]);
	case REQUEST_WRITE:
		return result_of(write(descriptor, bytes, length));
	case REQUEST_IOCTL: {
		const int32_t result = result_of(ioctl(descriptor, (unsigned int)words[1], bytes));

		memcpy(answer.data.bytes + sizeof(int32_t), bytes, length);
		answer.length += length;
		return result;
	}
	case REQUEST_BIND:
		return result_of(bind(descriptor, (const struct sockaddr *)bytes, (socklen_t)length));
	case REQUEST_IDENTIFY:
		return identify(descriptor < 0 ? AT_FDCWD : descriptor, (const char *)bytes);
	case REQUEST_SEAL:
		return seal(words[1], words[2], bytes, length);
	default:
		return -ENOSYS;
	}
}

int main(int count, char **arguments)
{
	const int socket = count == 2 ? atoi(arguments[1]) : -1;

	/* Paths are absolute, and the caller's folder may be on a file system that is to be unmounted. */
	if (chdir("/"))
		return 1;
	for (;;) {
		/* Set again each time: entering a namespace may make the process dumpable. */
		prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
		receive_request(socket);
		answer.length = sizeof(int32_t);
		answer.descriptor_count = 0;
		answer.data.words[0] = request.length < WORDS * 4 ? -EINVAL : carry_out();
		send_answer(socket);
		for (int index = 0; index < request.descriptor_count; index++)
			close(request.descriptors[index]);
		for (int index = 0; index < answer.descriptor_count; index++)
			close(answer.descriptors[index]);
	}
}
