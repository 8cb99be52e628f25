"""What the program assumes about splice(2) between TCP sockets and pipes. Each function is a test; its docstring is the name."""

import array
import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import termios
import time

from sockets import FAMILIES, connected, wait

SPLICE_F_NONBLOCK = 2


@contextlib.contextmanager
def pipe(size=1 << 20):
    ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, size)
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def splice(source, target, length=1 << 20):
    """How many bytes were moved, or the negated error number."""
    try:
        return os.splice(source, target, length, flags=SPLICE_F_NONBLOCK)
    except OSError as error:
        return -error.errno


def arrived(sock, length):
    amount = array.array("i", [0])
    for _ in range(5000):
        fcntl.ioctl(sock, termios.FIONREAD, amount)
        if amount[0] == length:
            return
        time.sleep(0.001)
    raise AssertionError(f"{amount[0]} bytes arrived instead of {length}")


def assume_splice_moves_what_there_is():
    """splicing from a TCP socket moves what has arrived, and is EAGAIN if nothing has, as it is from an empty pipe"""
    for family, address in FAMILIES:
        with connected(family, address) as (one, other), pipe() as (read, write):
            other.setblocking(False)
            assert splice(other.fileno(), write) == -errno.EAGAIN
            assert splice(read, other.fileno()) == -errno.EAGAIN
            one.sendall(b"0123456789")
            arrived(other, 10)
            assert splice(other.fileno(), write) == 10
            assert splice(other.fileno(), write) == -errno.EAGAIN
            assert splice(read, other.fileno(), 4) == 4
            assert splice(read, other.fileno()) == 6
            assert one.recv(10, socket.MSG_WAITALL) == b"0123456789"


def assume_splice_end():
    """splicing from a TCP socket answers 0 at the end of the stream, behind everything that was sent"""
    with connected(*FAMILIES[0]) as (one, other), pipe() as (_, write):
        other.setblocking(False)
        one.sendall(b"last")
        one.shutdown(socket.SHUT_WR)
        wait(other, select.POLLRDHUP)
        assert [splice(other.fileno(), write) for _ in range(3)] == [4, 0, 0]


def assume_splice_reset():
    """splicing from a TCP socket that was reset gives the data before, then ECONNRESET, once; splicing to it is EPIPE"""
    with connected(*FAMILIES[0]) as (one, other), pipe() as (read, write):
        other.setblocking(False)
        one.sendall(b"last")
        arrived(other, 4)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
        wait(other, 0)
        assert [splice(other.fileno(), write) for _ in range(3)] == [4, -errno.ECONNRESET, 0]
        assert splice(read, other.fileno()) == -errno.EPIPE


def assume_splice_signal():
    """splicing to a closed connection raises SIGPIPE, which ends a process that does not ignore it"""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        with connected(*FAMILIES[0]) as (one, _), pipe() as (read, write):
            one.setblocking(False)
            os.write(write, b"for nobody")
            one.shutdown(socket.SHUT_WR)
            splice(read, one.fileno())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPIPE


def assume_splice_room():
    """when a TCP socket takes no more of a pipe, EPOLLOUT tells an edge-triggered epoll set once it does"""
    with connected(*FAMILIES[0]) as (one, other), pipe() as (read, write), select.epoll() as epoll:
        one.setblocking(False)
        epoll.register(one, select.EPOLLOUT | select.EPOLLET)
        while True:
            with contextlib.suppress(BlockingIOError):
                os.write(write, bytes(1 << 20))
            if splice(read, one.fileno()) != -errno.EAGAIN:
                continue
            # Bytes in flight are acknowledged later, and make room once more, with or without an event.
            epoll.poll(0.1)
            if splice(read, one.fileno()) == -errno.EAGAIN and not epoll.poll(0):
                break
        other.setblocking(False)
        for _ in range(5000):
            with contextlib.suppress(BlockingIOError):
                other.recv(1 << 20)
            if epoll.poll(0.001):
                break
        assert splice(read, one.fileno()) > 0


def assume_splice_urgent():
    """splicing stops with EAGAIN before a byte that is marked as urgent; reading with SO_OOBINLINE goes past it"""
    with connected(*FAMILIES[0]) as (one, other), pipe() as (_, write):
        other.setblocking(False)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        one.sendall(b"ab")
        one.send(b"!", socket.MSG_OOB)
        one.sendall(b"cd")
        arrived(other, 5)
        assert [splice(other.fileno(), write) for _ in range(2)] == [2, -errno.EAGAIN]
        assert other.recv(1) == b"!"
        assert splice(other.fileno(), write) == 2


def assume_splice_urgent_at_end():
    """splicing at a byte that is marked as urgent answers 0, as at the end, once the stream has ended behind it"""
    with connected(*FAMILIES[0]) as (one, other), pipe() as (_, write):
        other.setblocking(False)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        one.sendall(b"ab")
        one.send(b"!", socket.MSG_OOB)
        one.sendall(b"cd")
        one.shutdown(socket.SHUT_WR)
        arrived(other, 5)
        assert [splice(other.fileno(), write) for _ in range(2)] == [2, 0]
        assert other.recv(1) == b"!"
        assert [splice(other.fileno(), write) for _ in range(2)] == [2, 0]


def assume_low_watermark():
    """SO_RCVLOWAT keeps a TCP socket from being told as readable until so much has arrived, or a FIN; reading is free"""
    for family, address in FAMILIES:
        with connected(family, address) as (one, other), pipe() as (_, write), select.epoll() as epoll:
            other.setblocking(False)
            other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 100)
            epoll.register(other, select.EPOLLIN | select.EPOLLET)
            one.sendall(bytes(60))
            arrived(other, 60)
            assert epoll.poll(0) == []
            one.sendall(bytes(40))
            assert epoll.poll(5) == [(other.fileno(), select.EPOLLIN)]
            assert splice(other.fileno(), write) == 100
            one.sendall(bytes(20))
            arrived(other, 20)
            assert epoll.poll(0) == []
            assert splice(other.fileno(), write) == 20
            one.sendall(bytes(10))
            arrived(other, 10)
            one.shutdown(socket.SHUT_WR)
            assert epoll.poll(5) == [(other.fileno(), select.EPOLLIN)]


def assume_low_watermark_lowered():
    """lowering SO_RCVLOWAT to what has arrived tells it at once"""
    with connected(*FAMILIES[0]) as (one, other), select.epoll() as epoll:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 100)
        epoll.register(other, select.EPOLLIN | select.EPOLLET)
        one.sendall(bytes(60))
        arrived(other, 60)
        assert epoll.poll(0) == []
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        assert epoll.poll(5) == [(other.fileno(), select.EPOLLIN)]
