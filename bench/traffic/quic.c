/*
 * UDP as QUIC libraries use it: bursts of ten datagrams by one call (UDP_SEGMENT), received together (UDP_GRO), over
 * one flow or many. The receiving end counts arrivals, and acknowledges every tenth datagram of a flow. At most one
 * window is in flight, so that the acknowledgements set the pace. Nothing is retransmitted.
 */
#include "traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { DATA = 1, START = 2, ACKNOWLEDGE = 3 };
enum {
  SIZE = 1350,
  BURST = 10,
  /* Datagrams in flight, of all flows together: about half a megabyte. */
  WINDOW = 40 * BURST,
  MOST_FLOWS = 128,
  PORTS = 65536,
  MESSAGES = 8,
  LARGEST = 65536,
  /* Milliseconds after which an unacknowledged datagram is lost. */
  LOST = 3,
  ASK_AGAIN = 50,
  GIVE_UP = 10000,
  QUIET = 30,
};
/* Milliseconds that the world keeps sending after the guest has stopped counting. */
static const uint64_t MARGIN = 20000000;

/*
 * The header of each datagram, in network byte order. `number` is that of the flow, or counts acknowledged datagrams.
 */
struct head {
  uint32_t kind, run, number, warm_milliseconds, measured_milliseconds;
};

static struct head make_head(uint32_t kind, uint32_t run, int number, struct period period) {
  return (struct head){htonl(kind), htonl(run), htonl((uint32_t)number), htonl((uint32_t)(period.warm / 1000000)),
                       htonl((uint32_t)(period.measured / 1000000))};
}

static struct period period_of(const struct head *head) {
  return (struct period){(uint64_t)ntohl(head->warm_milliseconds) * 1000000,
                         (uint64_t)ntohl(head->measured_milliseconds) * 1000000};
}

static int watch_all(const int *sockets, int count) {
  int epoll = epoll_create1(0);
  for (int index = 0; index < count; index++) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)index};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[index], &event) < 0) fail("epoll_ctl");
  }
  return epoll;
}

/* One socket for each flow. */
static void connect_all(const char *address, int *sockets, int count) {
  if (count < 1 || count > MOST_FLOWS) {
    errno = ERANGE;
    fail("flows");
  }
  struct endpoint endpoint = parse_endpoint(address, QUIC_PORT);
  for (int index = 0; index < count; index++) sockets[index] = connect_patiently(&endpoint, SOCK_DGRAM);
}

static void receive_together(int socket) {
  int one = 1;
  if (setsockopt(socket, SOL_UDP, UDP_GRO, &one, sizeof one) < 0) fail("UDP_GRO");
}

/* The sending end. Flows have a socket each, or share one and are distinguished by their peers. */
struct sender {
  int epoll, count, next;
  int sockets[MOST_FLOWS];
  struct sockaddr_storage peers[MOST_FLOWS];
  socklen_t peer_size;
  uint32_t run;
  int under_way;
  char text[BURST * SIZE];
};

static void begin_sending(struct sender *sender, uint32_t run, struct period period) {
  sender->run = run;
  for (int index = 0; index < BURST; index++)
    *(struct head *)(sender->text + index * SIZE) = make_head(DATA, run, 0, period);
}

static void send_burst(struct sender *sender) {
  int flow = sender->next;
  char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
  struct iovec vector = {sender->text, sizeof sender->text};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  *(uint16_t *)CMSG_DATA(header) = SIZE;
  if (sender->peer_size > 0) {
    message.msg_name = &sender->peers[flow];
    message.msg_namelen = sender->peer_size;
  }
  sendmsg(sender->sockets[flow], &message, 0);
  sender->next = (flow + 1) % sender->count;
  sender->under_way += BURST;
}

static void add_peer(struct sender *sender, int socket, const struct sockaddr_storage *peer, socklen_t size) {
  for (int index = 0; index < sender->count; index++)
    if (memcmp(&sender->peers[index], peer, size) == 0) return;
  if (sender->count == MOST_FLOWS) return;
  sender->peer_size = size;
  sender->sockets[sender->count] = socket;
  memcpy(&sender->peers[sender->count++], peer, size);
}

static void hear_one(struct sender *sender, int socket, const struct head *head, const struct sockaddr_storage *from, socklen_t size) {
  if (ntohl(head->run) != sender->run) return;
  if (ntohl(head->kind) == START) add_peer(sender, socket, from, size);
  if (ntohl(head->kind) != ACKNOWLEDGE) return;
  sender->under_way -= (int)ntohl(head->number);
  if (sender->under_way < 0) sender->under_way = 0;
}

static void hear(struct sender *sender, int socket) {
  /* Room for the largest joined message. All datagrams that return have one size. */
  struct head heads[64];
  struct sockaddr_storage from = {0};
  for (;;) {
    socklen_t size = sizeof from;
    ssize_t length = recvfrom(socket, heads, sizeof heads, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
    if (length < 0) return;
    for (size_t index = 0; index < (size_t)length / sizeof *heads; index++)
      hear_one(sender, socket, &heads[index], &from, size);
  }
}

static void send_until(struct sender *sender, uint64_t until) {
  struct epoll_event events[MOST_FLOWS];
  while (nanoseconds() < until) {
    while (sender->under_way + BURST <= WINDOW) send_burst(sender);
    int ready = epoll_wait(sender->epoll, events, MOST_FLOWS, LOST);
    if (ready == 0) sender->under_way = 0;
    for (int index = 0; index < ready; index++) hear(sender, sender->sockets[events[index].data.u32]);
  }
}

/* The receiving end. */
struct receiver {
  struct counter counter;
  struct period period;
  uint32_t run;
  /* Datagrams that were not acknowledged yet, by the port of the peer, or by the number of the socket. */
  uint8_t owed[PORTS];
  char (*texts)[LARGEST];
  char controls[MESSAGES][CMSG_SPACE(sizeof(int))];
  struct sockaddr_storage names[MESSAGES];
  struct iovec vectors[MESSAGES];
  struct mmsghdr messages[MESSAGES];
};

static struct receiver *make_receiver(void) {
  struct receiver *receiver = calloc(1, sizeof *receiver);
  receiver->texts = malloc(MESSAGES * LARGEST);
  return receiver;
}

static int receive_some(struct receiver *receiver, int socket, int flags) {
  for (int index = 0; index < MESSAGES; index++) {
    receiver->vectors[index] = (struct iovec){receiver->texts[index], LARGEST};
    receiver->messages[index].msg_hdr = (struct msghdr){
        .msg_name = &receiver->names[index],
        .msg_namelen = sizeof receiver->names[index],
        .msg_iov = &receiver->vectors[index],
        .msg_iovlen = 1,
        .msg_control = receiver->controls[index],
        .msg_controllen = sizeof receiver->controls[index],
    };
  }
  return recvmmsg(socket, receiver->messages, MESSAGES, flags, NULL);
}

static int datagrams_in(const struct mmsghdr *message) {
  struct cmsghdr *header = CMSG_FIRSTHDR(&message->msg_hdr);
  if (header == NULL || header->cmsg_level != SOL_UDP || header->cmsg_type != UDP_GRO) return 1;
  int size = *(int *)CMSG_DATA(header);
  return size > 0 ? ((int)message->msg_len + size - 1) / size : 1;
}

/* Counts a message; 1 when the period is over. */
static int take(struct receiver *receiver, int socket, int flow, const struct mmsghdr *message) {
  if (count(&receiver->counter, &receiver->period, message->msg_len)) return 1;
  int owed = receiver->owed[flow] + datagrams_in(message);
  if (owed >= BURST) {
    struct head head = make_head(ACKNOWLEDGE, receiver->run, owed, receiver->period);
    sendto(socket, &head, sizeof head, MSG_DONTWAIT, message->msg_hdr.msg_name, message->msg_hdr.msg_namelen);
    owed = 0;
  }
  receiver->owed[flow] = (uint8_t)owed;
  return 0;
}

static void begin_receiving(struct receiver *receiver, uint32_t run, struct period period) {
  receiver->run = run;
  receiver->period = period;
  receiver->counter = (struct counter){0};
  memset(receiver->owed, 0, sizeof receiver->owed);
}

static void serve_down(int socket, const struct head *head, const struct sockaddr_storage *from, socklen_t size) {
  struct sender *sender = calloc(1, sizeof *sender);
  struct period period = period_of(head);
  sender->epoll = watch_all(&socket, 1);
  begin_sending(sender, ntohl(head->run), period);
  add_peer(sender, socket, from, size);
  send_until(sender, nanoseconds() + period.warm + period.measured + MARGIN);
  close(sender->epoll);
  free(sender);
}

static void *serve(void *argument) {
  int socket = (int)(intptr_t)argument;
  struct receiver *receiver = make_receiver();
  int is_counting = 0;
  receive_together(socket);
  set_time_limit(socket, LOST);
  for (;;) {
    int received = receive_some(receiver, socket, MSG_WAITFORONE);
    for (int index = 0; index < received; index++) {
      const struct mmsghdr *message = &receiver->messages[index];
      const struct head *head = (const struct head *)receiver->texts[index];
      const struct sockaddr_in *from = (const struct sockaddr_in *)&receiver->names[index];
      if (message->msg_len < sizeof *head || ntohl(head->kind) == ACKNOWLEDGE) continue;
      if (ntohl(head->run) != receiver->run) {
        begin_receiving(receiver, ntohl(head->run), period_of(head));
        is_counting = ntohl(head->kind) == DATA;
        if (!is_counting) serve_down(socket, head, &receiver->names[index], message->msg_hdr.msg_namelen);
      }
      /* The port is at one place in addresses of both versions. */
      if (is_counting && take(receiver, socket, ntohs(from->sin_port), message)) {
        print_count(&receiver->counter, receiver->run);
        is_counting = 0;
      }
    }
    if (is_counting && received <= 0 && count(&receiver->counter, &receiver->period, 0)) {
      print_count(&receiver->counter, receiver->run);
      is_counting = 0;
    }
  }
  return NULL;
}

void serve_quic(const char *address) {
  struct endpoint endpoint = parse_endpoint(address, QUIC_PORT);
  start_thread(serve, (void *)(intptr_t)open_listener(&endpoint, SOCK_DGRAM));
}

/* Sends until it is stopped: the world reports the bytes that arrived. */
void quic_up(const char *address, uint32_t run, int flows, struct period period) {
  struct sender *sender = calloc(1, sizeof *sender);
  connect_all(address, sender->sockets, flows);
  sender->count = flows;
  sender->epoll = watch_all(sender->sockets, flows);
  begin_sending(sender, run, period);
  send_until(sender, nanoseconds() + period.warm + period.measured + (uint64_t)GIVE_UP * 1000000);
}

static int receive_down(struct receiver *receiver, int epoll, const int *sockets, int limit) {
  struct epoll_event events[MOST_FLOWS];
  int ready = epoll_wait(epoll, events, MOST_FLOWS, limit);
  int is_over = 0;
  for (int index = 0; index < ready; index++) {
    int flow = (int)events[index].data.u32;
    int received = receive_some(receiver, sockets[flow], MSG_DONTWAIT);
    for (int each = 0; each < received; each++)
      is_over = take(receiver, sockets[flow], flow, &receiver->messages[each]) || is_over;
  }
  return is_over || (ready <= 0 && count(&receiver->counter, &receiver->period, 0));
}

void quic_down(const char *address, uint32_t run, int flows, struct period period) {
  int sockets[MOST_FLOWS];
  struct receiver *receiver = make_receiver();
  struct head head = make_head(START, run, flows, period);
  struct epoll_event event;
  connect_all(address, sockets, flows);
  for (int index = 0; index < flows; index++) receive_together(sockets[index]);
  int epoll = watch_all(sockets, flows);
  begin_receiving(receiver, run, period);
  for (int tries = 0; receiver->counter.first == 0; tries++) {
    if (tries * ASK_AGAIN > GIVE_UP) fail("no datagram");
    for (int index = 0; index < flows; index++) send(sockets[index], &head, sizeof head, 0);
    receive_down(receiver, epoll, sockets, ASK_AGAIN);
  }
  while (!receive_down(receiver, epoll, sockets, LOST)) continue;
  while (epoll_wait(epoll, &event, 1, QUIET) > 0) receive_some(receiver, sockets[event.data.u32], MSG_DONTWAIT);
  print_count(&receiver->counter, run);
}
