"""Says how packets are marked: traffic class (DSCP and ECN) and hop limit.

`serve PORT ADDRESS...` answers each UDP datagram with the class that it came with, in its own class inverted, and each TCP connection
with class and hop limit of its SYN. Prints "ready".
`ask PORT ADDRESS CLASS HOPLIMIT` asks both, and prints JSON: UDP's class there and of the answer here, TCP's class and hop limit there.
"""

import json
import select
import socket
import struct
import sys

IP_TOS, IP_TTL, IP_RECVTOS = 1, 2, 13
IPV6_UNICAST_HOPS, IPV6_RECVTCLASS, IPV6_TCLASS = 16, 66, 67
TCP_SAVE_SYN, TCP_SAVED_SYN = 27, 28


def make(address, kind):
    six = ":" in address
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind)
    s.settimeout(10)
    return s, six, socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP


def mark(s, six, level, traffic_class):
    s.setsockopt(level, IPV6_TCLASS if six else IP_TOS, traffic_class)


def receive(s):
    data, control, _, sender = s.recvmsg(100, 100)
    return data, int.from_bytes(control[0][2], sys.byteorder), sender


def serve(port, addresses):
    sockets = {}
    for address in addresses:
        u, six, level = make(address, socket.SOCK_DGRAM)
        u.setsockopt(level, IPV6_RECVTCLASS if six else IP_RECVTOS, 1)
        u.bind((address, port))
        t, _, _ = make(address, socket.SOCK_STREAM)
        t.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)
        t.bind((address, port))
        t.listen()
        sockets[u], sockets[t] = (six, level), (six, level)
    print("ready", flush=True)
    while True:
        for s in select.select(list(sockets), [], [])[0]:
            six, level = sockets[s]
            if s.type == socket.SOCK_DGRAM:
                _, traffic_class, sender = receive(s)
                mark(s, six, level, traffic_class ^ 0xFF)
                s.sendto(str(traffic_class).encode(), sender)
            else:
                connection, _ = s.accept()
                syn = connection.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 200)
                seen = [struct.unpack("!H", syn[:2])[0] >> 4 & 0xFF, syn[7]] if six else [syn[1], syn[8]]
                connection.sendall(json.dumps(seen).encode())
                connection.close()


def ask(port, address, traffic_class, hop_limit):
    u, six, level = make(address, socket.SOCK_DGRAM)
    u.setsockopt(level, IPV6_RECVTCLASS if six else IP_RECVTOS, 1)
    mark(u, six, level, traffic_class)
    u.sendto(b"?", (address, port))
    there, here, _ = receive(u)
    t, _, _ = make(address, socket.SOCK_STREAM)
    mark(t, six, level, traffic_class)
    t.setsockopt(level, IPV6_UNICAST_HOPS if six else IP_TTL, hop_limit)
    t.connect((address, port))
    tcp = json.loads(t.recv(100))
    print(json.dumps({"udp": [int(there), here], "tcp": tcp}))


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]), sys.argv[3:])
else:
    ask(int(sys.argv[2]), sys.argv[3], int(sys.argv[4], 0), int(sys.argv[5]))
