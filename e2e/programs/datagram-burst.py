"""Datagrams in one direction, sent and received one by one or together (UDP_SEGMENT, UDP_GRO; udp(7)).

    receive ADDRESS PORT COUNT alone|together

Says "ready", and "begun" when there is a flow. Receives so many, or what comes until nothing does for some seconds, and
prints JSON: how many were as they were sent and in order, in how many messages they came, and how many there were in one
at most.

    send ADDRESS PORT COUNT SIZE EACH

Begins the flow with an empty datagram. On a line of input, sends that many datagrams of that size, EACH by one call, and
says "sent".
"""

import json
import socket
import struct
import sys

UDP_SEGMENT, UDP_GRO = 103, 104
BUFFER_BYTES, QUIET_SECONDS = 4 << 20, 5

role, address, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)


def datagram(number, size):
    return struct.pack("!I", number) + bytes([number & 255]) * (size - 4)


def receive(is_together):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    if is_together:
        s.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    s.bind((address, port))
    s.settimeout(QUIET_SECONDS)
    print("ready", flush=True)
    good = messages = most = seen = 0
    while seen < count:
        try:
            payload, control, _, _ = s.recvmsg(65536, 64)
        except TimeoutError:
            break
        if not payload:
            print("begun", flush=True)
            continue
        size = next((struct.unpack("=i", data)[0] for _, kind, data in control if kind == UDP_GRO), len(payload))
        parts = [payload[at : at + size] for at in range(0, len(payload), size)]
        good += sum(part == datagram(seen + index, len(part)) for index, part in enumerate(parts))
        seen += len(parts)
        messages += 1
        most = max(most, len(parts))
    print(json.dumps({"good": good, "messages": messages, "most": most}))


def send(size, each):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    s.connect((address, port))
    s.send(b"")
    sys.stdin.readline()
    cut = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", size))] if each > 1 else []
    for first in range(0, count, each):
        s.sendmsg([datagram(first + index, size) for index in range(each)], cut)
    print("sent", flush=True)


if role == "receive":
    receive(sys.argv[5] == "together")
else:
    send(int(sys.argv[5]), int(sys.argv[6]))
