"""What the program assumes about tap devices and namespaces. Each function is a test; its docstring is the name."""

import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import threading

import kernel

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_USO4, TUN_F_USO6 = 1, 2, 4, 0x20, 0x40
USO = TUN_F_USO4 | TUN_F_USO6
NEEDS_CSUM, DATA_VALID = 1, 2
GSO_NONE, GSO_TCPV4, GSO_UDP_L4 = 0, 1, 5
UDP_SEGMENT = 103
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


class Tap:
    """A tap device with offloads, the address 192.0.2.1/24 on it and a neighbour 192.0.2.2 behind it."""

    def __init__(self, offloads=TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | USO, mtu=1500):
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", b"tap7", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        offload = lambda bits: fcntl.ioctl(self.fd, TUNSETOFFLOAD, bits)
        self.cuts_udp = bool(offloads & USO) and not kernel.refuses(errno.EINVAL, (6, 2), lambda: offload(offloads))
        if not self.cuts_udp:
            offload(offloads & ~USO)
        for line in (
            f"link set tap7 address 02:00:5e:10:00:01 mtu {mtu} up",
            "addr add 192.0.2.1/24 dev tap7",
            "neigh add 192.0.2.2 lladdr 02:00:5e:10:00:02 dev tap7 nud permanent",
        ):
            assert os.system(f"ip {line}") == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def read_udp(self):
        """The next UDP frame, behind its virtio header."""
        while True:
            ready, _, _ = select.select([self.fd], [], [], 5)
            assert ready, "nothing to read"
            frame = os.read(self.fd, 70000)
            if frame[22:24] == b"\x08\x00" and frame[33] == 17:
                return frame[:10], frame[10:]


def add(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def udp_frame(payload, sum_field, segment=0, flags=0, gso=GSO_NONE):
    """A datagram from 192.0.2.2 to 192.0.2.1:7777, behind a virtio header."""
    addresses = bytes([192, 0, 2, 2, 192, 0, 2, 1])
    length = 8 + len(payload)
    pseudo = add(addresses + struct.pack("!HH", 17, length))
    udp = struct.pack("!HHHH", 8888, 7777, length, pseudo if sum_field == "pseudo" else sum_field) + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 17, 0)
    head = head[:10] + struct.pack("!H", ~add(head + addresses) & 0xFFFF) + addresses
    ethernet = bytes.fromhex("02005e100001 02005e100002 0800")
    virtio = struct.pack("=BBHHHH", flags, gso, 42 if gso else 0, segment, 34 if flags & NEEDS_CSUM else 0, 6 if flags & NEEDS_CSUM else 0)
    return virtio + ethernet + head + udp


def receiver():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("192.0.2.1", 7777))
    sock.settimeout(5)
    return sock


def assume_needs_csum_on_write():
    """a frame written with NEEDS_CSUM and the pseudo-header sum is taken as valid"""
    with Tap() as tap, receiver() as sock:
        os.write(tap.fd, udp_frame(b"partial", "pseudo", flags=NEEDS_CSUM))
        assert sock.recv(100) == b"partial"


def assume_data_valid_is_ignored():
    """a frame written with DATA_VALID alone and a wrong checksum is dropped"""
    with Tap() as tap, receiver() as sock:
        os.write(tap.fd, udp_frame(b"wrong", 0xDEAD, flags=DATA_VALID))
        os.write(tap.fd, udp_frame(b"right", "pseudo", flags=NEEDS_CSUM))
        assert sock.recv(100) == b"right"


def assume_segments_cut_on_write():
    """a UDP frame larger than the MTU, written with a segment size, arrives cut, or is refused (before Linux 6.2)"""
    with Tap() as tap, receiver() as sock:
        payload = bytes(i % 251 for i in range(20_300))
        frame = udp_frame(payload, "pseudo", segment=1000, flags=NEEDS_CSUM, gso=GSO_UDP_L4)
        if kernel.refuses(errno.EINVAL, (6, 2), lambda: os.write(tap.fd, frame)):
            assert not tap.cuts_udp
            return
        pieces = [sock.recv(70000) for _ in range(21)]
        assert [len(piece) for piece in pieces] == [1000] * 20 + [300] and b"".join(pieces) == payload


def assume_segments_whole_on_read():
    """with segmentation offload (UDP: Linux 6.2), the kernel hands over more than the MTU in one frame, with the segment size"""
    with Tap() as tap, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("192.0.2.2", 9999))
        sock.sendmsg([bytes(20_300)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", 1000))])
        virtio, frame = tap.read_udp()
        flags, gso, _, segment, start, offset = struct.unpack("=BBHHHH", virtio)
        if not tap.cuts_udp:
            assert (gso, segment, len(frame)) == (GSO_NONE, 0, 42 + 1000)
            return
        assert (gso, segment, len(frame)) == (GSO_UDP_L4, 1000, 42 + 20_300)
        assert flags & NEEDS_CSUM and (start, offset) == (34, 6)


def assume_checksum_left_on_read():
    """with checksum offload, the kernel leaves the pseudo-header sum in what it hands over; without, it does not"""
    for offloads, expected in ((TUN_F_CSUM, NEEDS_CSUM), (0, 0)):
        with Tap(offloads) as tap, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"hello", ("192.0.2.2", 9999))
            virtio, _ = tap.read_udp()
            assert virtio[0] & NEEDS_CSUM == expected


def assume_largest_mtu():
    """a tap device takes an MTU of 65,520"""
    with Tap(mtu=65520) as tap, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(bytes(65_000), ("192.0.2.2", 9999))
        _, frame = tap.read_udp()
        assert len(frame) == 65_042


def assume_short_read_truncates():
    """a frame longer than the buffer is cut, and the rest of it is lost: the buffer must hold the largest"""
    with Tap() as tap, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for payload in (bytes(1000), b"next"):
            sock.sendto(payload, ("192.0.2.2", 9999))
        seen = []
        while len(seen) < 2:
            select.select([tap.fd], [], [], 5)
            frame = os.read(tap.fd, 100)
            if frame[22:24] == b"\x08\x00":
                seen.append(frame)
        assert len(seen[0]) == 100 and seen[1].endswith(b"next")


def assume_setns_is_per_thread():
    """setns(CLONE_NEWNET) moves one thread, and sockets stay where they were made"""
    before = os.readlink("/proc/thread-self/ns/net")
    seen = []

    def other():
        assert libc.unshare(CLONE_NEWNET) == 0
        seen.append(os.readlink("/proc/thread-self/ns/net"))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen and seen[0] != before and os.readlink("/proc/thread-self/ns/net") == before


def assume_user_namespace_needs_one_thread():
    """a process with several threads can't enter a user namespace: EINVAL"""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    result = libc.unshare(CLONE_NEWUSER)
    number = ctypes.get_errno()
    done.set()
    thread.join()
    assert (result, number) == (-1, errno.EINVAL)


def assume_device_ends_with_descriptor():
    """a tap device is gone once its descriptor is closed"""
    with Tap():
        assert os.path.exists("/proc/sys/net/ipv4/conf/tap7")
    assert not os.path.exists("/proc/sys/net/ipv4/conf/tap7")
