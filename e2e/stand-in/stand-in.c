// Stands in for a virtual machine in front of passt: carries frames between a tap device, which it makes in
// the network namespace that it is run in, and passt's socket, with the framing of QEMU's stream netdev (four
// bytes of length in network byte order before each frame). That namespace is then the guest.
//
//   stand-in NAME SOCKET|fd:NUMBER
//
// NAME is the tap device's, SOCKET the path of passt's socket; "fd:3" is a connected socket. The
// device has no offloads: frames are as a guest without offloads would send them. One system call on the socket
// carries many frames, in both directions; while the socket is full, the tap device is not read.
//
// Prints "connected", and as its last line, once a signal or passt has ended it, its counts as JSON.
// Exit status: 0 after SIGTERM or SIGINT, 2 when passt has closed the connection, 1 after an error.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FRAME_MAX 65550 // An Ethernet header, a VLAN tag, and the largest MTU that tap devices have, rounded up.
#define ROOM (1 << 20)  // Bytes under way in one direction, at most.

// Frames behind their lengths, as in the stream: bytes [first, end).
struct stream {
  uint8_t bytes[ROOM];
  size_t first, end;
};

static struct stream outgoing, incoming; // To passt, from passt.
static uint64_t toPasst, fromPasst, refused;
static volatile sig_atomic_t ended;

static void fail(const char *what) {
  fprintf(stderr, "stand-in: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void end(int signal) {
  (void)signal;
  ended = 1;
}

static int open_tap(const char *name) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) fail("/dev/net/tun");
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(fd, TUNSETIFF, &request)) fail(name);
  return fd;
}

static int open_socket(const char *where) {
  int fd;
  if (strncmp(where, "fd:", 3) == 0) {
    fd = atoi(where + 3);
  } else {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(where) >= sizeof address.sun_path) {
      errno = ENAMETOOLONG;
      fail(where);
    }
    strcpy(address.sun_path, where);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) fail(where);
  }
  int room = ROOM;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room); // The kernel limits this to the machine's maximum.
  if (fcntl(fd, F_SETFL, O_NONBLOCK)) fail(where);
  return fd;
}

// Reads from the tap device while there is room for the largest frame.
static void read_tap(int tap) {
  while (outgoing.end + 4 + FRAME_MAX <= ROOM) {
    uint8_t *head = outgoing.bytes + outgoing.end;
    ssize_t length = read(tap, head + 4, FRAME_MAX);
    if (length < 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      fail("reading the tap device"); // EBADFD: the device was deleted.
    }
    uint32_t prefix = htonl((uint32_t)length);
    memcpy(head, &prefix, 4);
    outgoing.end += 4 + (size_t)length;
    toPasst++;
  }
}

// False: passt has gone.
static int write_socket(int fd) {
  while (outgoing.first < outgoing.end) {
    ssize_t sent = send(fd, outgoing.bytes + outgoing.first, outgoing.end - outgoing.first, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return 1;
      if (errno == EPIPE || errno == ECONNRESET) return 0;
      fail("writing to the socket");
    }
    outgoing.first += (size_t)sent;
  }
  outgoing.first = outgoing.end = 0;
  return 1;
}

// False: passt has gone.
static int read_socket(int fd) {
  ssize_t got = recv(fd, incoming.bytes + incoming.end, ROOM - incoming.end, 0);
  if (got == 0) return 0;
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return 1;
    if (errno == ECONNRESET) return 0;
    fail("reading the socket");
  }
  incoming.end += (size_t)got;
  return 1;
}

// Writes every complete frame to the tap device, and keeps the beginning of the next one.
static void write_tap(int tap) {
  while (incoming.end - incoming.first >= 4) {
    uint32_t prefix;
    memcpy(&prefix, incoming.bytes + incoming.first, 4);
    size_t length = ntohl(prefix);
    if (length < 14 || length > FRAME_MAX) {
      fprintf(stderr, "stand-in: passt sent a frame of %zu bytes\n", length);
      exit(1);
    }
    if (incoming.end - incoming.first < 4 + length) break;
    ssize_t written = write(tap, incoming.bytes + incoming.first + 4, length);
    if (written >= 0) fromPasst++;
    else if (errno == EIO || errno == EAGAIN || errno == ENOBUFS || errno == EINVAL) refused++; // EIO: the device is down.
    else fail("writing to the tap device");
    incoming.first += 4 + length;
  }
  incoming.end -= incoming.first;
  memmove(incoming.bytes, incoming.bytes + incoming.first, incoming.end);
  incoming.first = 0;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: stand-in NAME SOCKET|fd:NUMBER\n");
    return 1;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL); // Tests that are killed leave no guest behind.
  struct sigaction action = {.sa_handler = end};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  sigset_t endings, none; // Signals are only delivered during the wait, so that none is lost between the check and the wait.
  sigemptyset(&none);
  sigemptyset(&endings);
  sigaddset(&endings, SIGTERM);
  sigaddset(&endings, SIGINT);
  sigprocmask(SIG_BLOCK, &endings, NULL);
  int tap = open_tap(argv[1]), fd = open_socket(argv[2]);
  puts("connected");
  fflush(stdout);

  int connected = 1;
  while (!ended && connected) {
    int pending = outgoing.first < outgoing.end;
    struct pollfd ends[2] = {{.fd = tap, .events = pending ? 0 : POLLIN},
                             {.fd = fd, .events = (short)(pending ? POLLIN | POLLOUT : POLLIN)}};
    if (ppoll(ends, 2, NULL, &none) < 0) {
      if (errno == EINTR) continue;
      fail("ppoll");
    }
    if (ends[0].revents & POLLERR) fail("the tap device is gone");
    if (ends[1].revents & (POLLIN | POLLHUP | POLLERR)) {
      connected = read_socket(fd);
      write_tap(tap);
    }
    if (connected && (ends[0].revents & POLLIN)) read_tap(tap);
    if (connected && outgoing.first < outgoing.end) connected = write_socket(fd);
  }
  printf("{\"toPasst\":%llu,\"fromPasst\":%llu,\"refused\":%llu,\"closed\":%s}\n", (unsigned long long)toPasst,
         (unsigned long long)fromPasst, (unsigned long long)refused, connected ? "false" : "true");
  return connected ? 0 : 2;
}
