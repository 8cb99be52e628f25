"""What the program assumes about TCP, UDP and ping sockets. Each function is a test; its docstring is the name."""

import array
import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import termios

import kernel

SO_PEEK_OFF, UDP_SEGMENT, UDP_GRO, IP_RECVERR, IPV6_RECVERR, SIOCOUTQNSD = 42, 103, 104, 11, 25, 0x894B
FAMILIES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


@contextlib.contextmanager
def connected(family, address):
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]) as one:
            other, _ = listener.accept()
            with other:
                yield one, other


def wait(sock, events=select.POLLIN):
    poll = select.poll()
    poll.register(sock, events)
    return poll.poll(5000)


def has_peek_offset(sock):
    """Sets it to 0. Linux 6.9 has it for TCP over IPv4, 6.12 for IPv6."""
    since = (6, 9) if sock.family == socket.AF_INET else (6, 12)
    attempt = lambda: sock.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, 0)
    return not kernel.refuses(errno.EOPNOTSUPP, since, attempt)


def assume_peek_offset():
    """SO_PEEK_OFF lets successive peeks at a TCP socket go on where the last one ended, or is refused (before Linux 6.9 and 6.12)"""
    for family, address in FAMILIES:
        with connected(family, address) as (one, other):
            if not has_peek_offset(other):
                continue
            one.sendall(b"0123456789")
            wait(other)
            assert other.recv(4, socket.MSG_PEEK) == b"0123"
            assert other.recv(4, socket.MSG_PEEK) == b"4567"
            # Reading subtracts from the offset.
            assert other.recv(4) == b"0123"
            assert other.recv(9, socket.MSG_PEEK) == b"89"


def assume_discard():
    """MSG_TRUNC discards data of a TCP socket without copying it, and no more than there is"""
    for family, address in FAMILIES:
        with connected(family, address) as (one, other):
            one.sendall(b"0123456789")
            wait(other)
            assert other.recv_into(bytearray(6), 6, socket.MSG_TRUNC) == 6
            assert other.recv(9) == b"6789"


def assume_discard_moves_peek_offset():
    """discarding with MSG_TRUNC moves the peek offset back by as much"""
    for family, address in FAMILIES:
        with connected(family, address) as (one, other):
            if not has_peek_offset(other):
                continue
            one.sendall(b"0123456789")
            wait(other)
            assert other.recv(8, socket.MSG_PEEK) == b"01234567"
            assert other.recv_into(bytearray(3), 3, socket.MSG_TRUNC) == 3
            assert other.getsockopt(socket.SOL_SOCKET, SO_PEEK_OFF) == 5
            assert other.recv(8, socket.MSG_PEEK) == b"89"


def assume_queue_lengths():
    """SIOCOUTQ counts what the other end has not acknowledged, SIOCOUTQNSD what has not been sent"""
    with connected(*FAMILIES[0]) as (one, _):
        one.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += one.send(bytes(65536))
        amount = array.array("i", [0])
        fcntl.ioctl(one, termios.TIOCOUTQ, amount)
        unacknowledged = amount[0]
        fcntl.ioctl(one, SIOCOUTQNSD, amount)
        assert 0 < amount[0] <= unacknowledged <= sent


def assume_partial_send():
    """a non-blocking TCP socket takes a part of what does not fit, and says how much"""
    with connected(*FAMILIES[0]) as (one, _):
        one.setblocking(False)
        large = bytes(64 << 20)
        assert 0 < one.send(large) < len(large)


def assume_linger_resets():
    """closing with SO_LINGER of zero seconds sends a reset instead of a FIN"""
    with connected(*FAMILIES[0]) as (one, other):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
        wait(other)
        try:
            other.recv(1)
        except ConnectionResetError:
            return
        raise AssertionError("no reset")


def assume_shutdown_is_half():
    """after shutdown(SHUT_WR) data still arrives, and the other end sees EPOLLRDHUP and not EPOLLHUP"""
    with connected(*FAMILIES[0]) as (one, other):
        one.shutdown(socket.SHUT_WR)
        events = wait(other, select.POLLIN | select.POLLRDHUP)[0][1]
        assert events & select.POLLRDHUP and not events & select.POLLHUP
        other.sendall(b"still here")
        assert one.recv(20) == b"still here"


def assume_edge_per_arrival():
    """an edge-triggered epoll set reports each new arrival, read or not"""
    with connected(*FAMILIES[0]) as (one, other), select.epoll() as epoll:
        epoll.register(other, select.EPOLLIN | select.EPOLLET)
        for _ in range(3):
            one.sendall(b"x")
            assert epoll.poll(5) == [(other.fileno(), select.EPOLLIN)]
        assert epoll.poll(0) == []


def assume_connected_udp_is_exclusive():
    """a connected UDP socket receives from its correspondent only"""
    for family, address in FAMILIES:
        with socket.socket(family, socket.SOCK_DGRAM) as us, socket.socket(family, socket.SOCK_DGRAM) as them:
            with socket.socket(family, socket.SOCK_DGRAM) as stranger:
                for each in (us, them, stranger):
                    each.bind((address, 0))
                us.connect(them.getsockname())
                stranger.sendto(b"stranger", us.getsockname())
                them.sendto(b"friend", us.getsockname())
                assert us.recv(100) == b"friend"


def assume_udp_error_queue():
    """with IP_RECVERR, the error queue tells type, code and the datagram that a port was closed to"""
    for (family, address), level, option, kind, code in (
        (FAMILIES[0], socket.IPPROTO_IP, IP_RECVERR, 3, 3),
        (FAMILIES[1], socket.IPPROTO_IPV6, IPV6_RECVERR, 1, 4),
    ):
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(level, option, 1)
            sock.connect((address, 9))
            sock.send(b"anybody?")
            wait(sock, select.POLLERR)
            data, control, _, _ = sock.recvmsg(100, 200, socket.MSG_ERRQUEUE)
            number, _, seen_kind, seen_code = struct.unpack("=IBBB", control[0][2][:7])
            assert (data, number, seen_kind, seen_code) == (b"anybody?", errno.ECONNREFUSED, kind, code)


def assume_udp_segmentation():
    """UDP_SEGMENT cuts one send into datagrams, and UDP_GRO joins datagrams of a size for one receive"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        one.connect(other.getsockname())
        payload = bytes(i % 256 for i in range(5500))
        cut = (socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", 1000))
        one.sendmsg([payload], [cut])
        assert [len(other.recv(9000)) for _ in range(6)] == [1000] * 5 + [500]
        other.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        one.sendmsg([payload], [cut])
        data, control, _, _ = other.recvmsg(9000, 100)
        assert data == payload and struct.unpack("=i", control[0][2])[0] == 1000


def assume_largest_datagram():
    """65,507 bytes fit into a UDP datagram of IPv4 and IPv6, 65,508 do not into one of IPv4"""
    for family, address in FAMILIES:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
            sock.connect(sock.getsockname())
            sock.send(bytes(65507))
            assert len(sock.recv(70000)) == 65507
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert sock.connect_ex(("127.0.0.1", 9)) == 0
        try:
            sock.send(bytes(65508))
        except OSError as error:
            assert error.errno == errno.EMSGSIZE
            return
        raise AssertionError("sent")


def echo(family, identifier, sequence, payload):
    kind = 8 if family == socket.AF_INET else 128
    return struct.pack("!BBHHH", kind, 0, 0, identifier, sequence) + payload


def assume_ping_socket_identifier():
    """a ping socket bound to a port sends that port as identifier, whatever stands in the request, and gets the replies to it"""
    for family, address in FAMILIES:
        protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        with socket.socket(family, socket.SOCK_DGRAM, protocol) as sock:
            sock.bind((address, 4711))
            sock.connect((address, 0))
            sock.send(echo(family, 1, 7, b"payload"))
            reply = sock.recv(100)
            assert struct.unpack("!HH", reply[4:8]) == (4711, 7) and reply[8:] == b"payload"


def assume_ping_identifier_exclusive():
    """ping sockets share an identifier, and one gets the replies to both, unless SO_REUSEADDR is cleared: EADDRINUSE"""
    for family, address in FAMILIES:
        protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        for reuse in (1, 0):
            with socket.socket(family, socket.SOCK_DGRAM, protocol) as one:
                with socket.socket(family, socket.SOCK_DGRAM, protocol) as other:
                    assert one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
                    for each in (one, other):
                        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
                    one.bind((address, 4711))
                    try:
                        other.bind((address, 4711))
                        assert reuse == 1
                    except OSError as error:
                        assert reuse == 0 and error.errno == errno.EADDRINUSE


def assume_ping_socket_permission():
    """without the group in ping_group_range, opening a ping socket fails with EACCES, at once and for both versions"""
    path = "/proc/sys/net/ipv4/ping_group_range"
    with open(path) as file:
        before = file.read()
    try:
        with open(path, "w") as file:
            file.write("1 0")
        for family, protocol in ((socket.AF_INET, socket.IPPROTO_ICMP), (socket.AF_INET6, socket.IPPROTO_ICMPV6)):
            try:
                socket.socket(family, socket.SOCK_DGRAM, protocol)
            except PermissionError:
                continue
            raise AssertionError("allowed")
    finally:
        with open(path, "w") as file:
            file.write(before)


def assume_connect_result():
    """a refused connection shows as EPOLLERR with ECONNREFUSED in SO_ERROR"""
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", 9))
        assert wait(sock, select.POLLOUT)[0][1] & select.POLLERR
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def assume_unreachable_connect():
    """a connection over a route of type unreachable fails at once with EHOSTUNREACH"""
    os.system("ip route add unreachable 203.0.113.200/32")
    with socket.socket() as sock:
        assert sock.connect_ex(("203.0.113.200", 9)) == errno.EHOSTUNREACH
