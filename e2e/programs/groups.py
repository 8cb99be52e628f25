"""Datagrams to multicast groups.

`hear PORT INTERFACE GROUP...` joins the groups on an interface and prints "ready", then a line for each datagram: its text and hop limit.
It answers each from its own address. `tell PORT HOPLIMIT ADDRESS...` sends each address its own name, and prints the answers.
`send` is the same without answers.
"""

import select
import socket
import struct
import sys

IP_TTL, IP_RECVTTL, IP_MULTICAST_TTL, IP_ADD_MEMBERSHIP = 2, 12, 33, 35
IPV6_MULTICAST_HOPS, IPV6_JOIN_GROUP, IPV6_RECVHOPLIMIT = 18, 20, 51


def make(six):
    return socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)


def hear(port, interface, groups):
    sockets = {six: make(six) for six in (False, True)}
    for six, s in sockets.items():
        level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
        s.setsockopt(level, IPV6_RECVHOPLIMIT if six else IP_RECVTTL, 1)
        if six:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind(("", port))
    for group in groups:
        six = ":" in group
        family = socket.AF_INET6 if six else socket.AF_INET
        tail = struct.pack("@I", interface) if six else struct.pack("=Ii", 0, interface)
        level, option = (socket.IPPROTO_IPV6, IPV6_JOIN_GROUP) if six else (socket.IPPROTO_IP, IP_ADD_MEMBERSHIP)
        sockets[six].setsockopt(level, option, socket.inet_pton(family, group) + tail)
    print("ready", flush=True)
    while True:
        for s in select.select(list(sockets.values()), [], [])[0]:
            text, control, _, sender = s.recvmsg(100, 100)
            s.sendto(text, sender)
            print(text.decode(), int.from_bytes(control[0][2][:4], sys.byteorder), flush=True)


def tell(port, hop_limit, addresses, awaits_answers):
    for address in addresses:
        six = ":" in address
        s = make(six)
        level, option = (socket.IPPROTO_IPV6, IPV6_MULTICAST_HOPS) if six else (socket.IPPROTO_IP, IP_MULTICAST_TTL)
        s.setsockopt(level, option, hop_limit)
        s.sendto(address.encode(), (address, port))
        if awaits_answers:
            s.settimeout(10)
            print(s.recv(100).decode())


if sys.argv[1] == "hear":
    hear(int(sys.argv[2]), socket.if_nametoindex(sys.argv[3]), sys.argv[4:])
else:
    tell(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:], sys.argv[1] == "tell")
