"""What the program assumes about sockets that listen. Each function is a test; its docstring is the name."""

import contextlib
import errno
import os
import select
import socket
import struct
import tempfile

import kernel

FAMILIES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO, IPV6_FREEBIND, IP_FREEBIND = 8, 49, 50, 78, 15
SO_BINDTODEVICE, SO_PEEK_OFF, SO_PEERCRED = 25, 42, 17


def refused(number, call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        assert error.errno == number, error
        return
    raise AssertionError("allowed")


def opened(family, kind, reuse=False):
    sock = socket.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
    return sock


def dual(kind, port=0, reuse=False):
    """Bound to any address of both versions."""
    sock = opened(socket.AF_INET6, kind, reuse)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", port))
    return sock


def assume_dual_stack():
    """a socket bound to :: without IPV6_V6ONLY takes connections over IPv4, with mapped addresses at both ends"""
    with dual(socket.SOCK_STREAM) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        for (family, address), expected in zip(FAMILIES, ("::ffff:127.0.0.1", "::1")):
            with socket.create_connection((address, port)) as client:
                accepted, correspondent = listener.accept()
                with accepted:
                    assert accepted.family == socket.AF_INET6
                    assert accepted.getsockname()[:2] == (expected, port)
                    assert correspondent[:2] == (expected, client.getsockname()[1])


def assume_port_in_use():
    """a dual-stack socket keeps others from its port over both versions, a socket of one version over that alone"""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with dual(kind) as first:
            for family, address in FAMILIES:
                with opened(family, kind) as second:
                    refused(errno.EADDRINUSE, second.bind, (address, first.getsockname()[1]))
        with opened(socket.AF_INET6, kind) as six, opened(socket.AF_INET, kind) as four:
            six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            six.bind(("::", 0))
            four.bind(("0.0.0.0", six.getsockname()[1]))


def assume_reuse_of_tcp_port():
    """with SO_REUSEADDR a TCP socket listens beside connections of its predecessor, but not beside a listening socket"""
    for family, address in FAMILIES:
        with opened(family, socket.SOCK_STREAM, True) as first, opened(family, socket.SOCK_STREAM, True) as second:
            first.bind((address, 0))
            first.listen()
            end = first.getsockname()
            with opened(family, socket.SOCK_STREAM, True) as third:
                refused(errno.EADDRINUSE, third.bind, end)
            with socket.create_connection(end[:2]) as client:
                accepted, _ = first.accept()
                with accepted:
                    first.close()
                    second.bind(end)
                    second.listen()
                    client.send(b"x")
                    assert accepted.recv(1) == b"x"


def assume_options_inherited():
    """an accepted socket has TCP_NODELAY and SO_OOBINLINE of the one that listens, and neither O_NONBLOCK nor a peek offset"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE) == 1
                offset = []
                ask = lambda: offset.append(accepted.getsockopt(socket.SOL_SOCKET, SO_PEEK_OFF))
                assert kernel.refuses(errno.EOPNOTSUPP, (6, 9), ask) or offset == [-1]
                assert os.get_blocking(accepted.fileno())


def assume_waiting_reset():
    """closing a listening socket resets the connections that wait there"""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        listener.close()
        refused(errno.ECONNRESET, client.recv, 1)


def assume_edge_per_connection():
    """an edge-triggered epoll set reports each connection that comes to a listening socket, accepted or not"""
    with socket.create_server(("127.0.0.1", 0)) as listener, select.epoll() as epoll, contextlib.ExitStack() as stack:
        epoll.register(listener, select.EPOLLIN | select.EPOLLET)
        for _ in range(3):
            stack.enter_context(socket.create_connection(listener.getsockname()))
            assert epoll.poll(5) == [(listener.fileno(), select.EPOLLIN)]
        assert epoll.poll(0) == []


def assume_late_watch():
    """an edge-triggered epoll set reports what holds already when a socket is added"""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"early")
        accepted, _ = listener.accept()
        with accepted, select.epoll() as epoll:
            select.select([accepted], [], [], 5)
            epoll.register(accepted, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
            assert epoll.poll(5) == [(accepted.fileno(), select.EPOLLIN | select.EPOLLOUT)]


def assume_freebind():
    """IP_FREEBIND and IPV6_FREEBIND let a socket listen at an address that the host lacks"""
    for family, address, level, option in (
        (socket.AF_INET, "203.0.113.77", socket.IPPROTO_IP, IP_FREEBIND),
        (socket.AF_INET6, "2001:db8::77", socket.IPPROTO_IPV6, IPV6_FREEBIND),
    ):
        with socket.socket(family) as sock:
            refused(errno.EADDRNOTAVAIL, sock.bind, (address, 0))
            sock.setsockopt(level, option, 1)
            sock.bind((address, 0))
            sock.listen()


def assume_devices_apart():
    """sockets bound to different devices share a port, one of a device and one of none do not; an unknown device is ENODEV"""
    os.system("ip link add cable0 type veth peer cable1")
    try:
        with contextlib.ExitStack() as stack:
            one, two, three = (stack.enter_context(socket.socket()) for _ in range(3))
            one.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"lo")
            one.bind(("0.0.0.0", 0))
            two.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"cable0")
            two.bind(one.getsockname())
            refused(errno.EADDRINUSE, three.bind, one.getsockname())
            refused(errno.ENODEV, three.setsockopt, socket.SOL_SOCKET, SO_BINDTODEVICE, b"nosuch0")
    finally:
        os.system("ip link del cable0")


def assume_udp_port_is_exclusive():
    """a UDP socket without SO_REUSEADDR shares its port with no socket that sets it, but with one of the other version"""
    for family, address in FAMILIES:
        with opened(family, socket.SOCK_DGRAM) as own, opened(family, socket.SOCK_DGRAM, True) as program:
            if family == socket.AF_INET6:
                own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            own.bind(("0.0.0.0" if family == socket.AF_INET else "::", 0))
            port = own.getsockname()[1]
            refused(errno.EADDRINUSE, program.bind, (address, port))
            other, there = FAMILIES[family == socket.AF_INET]
            with opened(other, socket.SOCK_DGRAM) as sibling:
                sibling.bind((there, port))


def assume_udp_answer_from_where_it_was_asked():
    """a dual-stack UDP socket that isn't connected sends to both versions, from the address that a control message names"""
    with dual(socket.SOCK_DGRAM) as own, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six:
        port = own.getsockname()[1]
        six.bind(("::1", 0))
        source = struct.pack("=16si", socket.inet_pton(socket.AF_INET6, "::1"), 0)
        own.sendmsg([b"x"], [(socket.IPPROTO_IPV6, IPV6_PKTINFO, source)], 0, six.getsockname())
        assert six.recvfrom(9)[1][:2] == ("::1", port)
    # An IPv6 socket accepts IPv4 addresses; Python writes them as mapped ones.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as four:
        four.bind(("127.0.0.1", 0))
        source = struct.pack("=i4s4s", 0, socket.inet_aton("127.0.0.5"), bytes(4))
        own.sendmsg([b"x"], [(socket.IPPROTO_IP, IP_PKTINFO, source)], 0, four.getsockname())
        assert four.recvfrom(9)[1][0] == "127.0.0.5"


def assume_udp_error_names_destination():
    """the error queue of a UDP socket that isn't connected says whom a datagram was for that met an error"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        own.setsockopt(socket.IPPROTO_IP, 11, 1)
        gone.bind(("127.0.0.1", 0))
        end = gone.getsockname()
        gone.close()
        own.sendto(b"x", end)
        assert own.recvmsg(9, 200, socket.MSG_ERRQUEUE)[3] == end


def information(sock):
    _, control, _, sender = sock.recvmsg(100, 200)
    return {(level, kind): data for level, kind, data in control}, sender


def assume_udp_destination():
    """IP_PKTINFO and IPV6_RECVPKTINFO tell where a datagram went, and ipi_spec_dst from where the host would answer"""
    with dual(socket.SOCK_DGRAM) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        listener.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        listener.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        port = listener.getsockname()[1]
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for target in ("127.0.0.1", "127.255.255.255"):
            sender.sendto(b"x", (target, port))
            told, name = information(listener)
            interface, answering, destination = struct.unpack("=i4s4s", told[(socket.IPPROTO_IP, IP_PKTINFO)])
            assert interface == 1
            assert [socket.inet_ntoa(each) for each in (answering, destination)] == ["127.0.0.1", target]
            mapped = struct.unpack("=16si", told[(socket.IPPROTO_IPV6, IPV6_PKTINFO)])[0]
            assert socket.inet_ntop(socket.AF_INET6, mapped) == "::ffff:" + target
            assert name[0] == "::ffff:127.0.0.1"
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six:
            six.sendto(b"x", ("::1", port))
            told, name = information(listener)
            assert list(told) == [(socket.IPPROTO_IPV6, IPV6_PKTINFO)] and name[0] == "::1"


def assume_peer_credentials():
    """SO_PEERCRED tells process, user and group of who connected to a UNIX socket"""
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        told = struct.unpack("3i", one.getsockopt(socket.SOL_SOCKET, SO_PEERCRED, 12))
        assert told == (os.getpid(), os.getuid(), os.getgid())


def assume_probe():
    """whether a socket is bound to a path shows in connecting a socket of datagrams, and nobody notices"""
    with tempfile.TemporaryDirectory() as folder:
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            path = os.path.join(folder, str(int(kind)))

            def probe(number):
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
                    refused(number, asking.connect, path)

            probe(errno.ENOENT)
            with socket.socket(socket.AF_UNIX, kind) as listener:
                listener.bind(path)
                probe(errno.EPROTOTYPE)
                listener.listen(0)
                probe(errno.EPROTOTYPE)
                # The queue is full.
                with socket.socket(socket.AF_UNIX, kind) as client:
                    client.connect(path)
                    probe(errno.EPROTOTYPE)
                    listener.accept()[0].close()
                listener.setblocking(False)
                refused(errno.EAGAIN, listener.accept)
            probe(errno.ECONNREFUSED)


def assume_listening_sockets_first():
    """/proc/net/tcp lists sockets that listen before all others"""
    for family, address in FAMILIES:
        with opened(family, socket.SOCK_STREAM) as listener:
            listener.bind((address, 0))
            listener.listen()
            client = socket.create_connection(listener.getsockname()[:2])
            server = listener.accept()[0]
            with client, server, open("/proc/net/tcp6" if family == socket.AF_INET6 else "/proc/net/tcp") as table:
                states = [line.split()[3] for line in list(table)[1:]]
        assert "0A" in states and "01" in states, states
        assert "0A" not in states[states.count("0A") :], states
