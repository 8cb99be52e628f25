"""Sends a router solicitation on an interface and prints the advertisement that answers it, as JSON.

Arguments: the interface's name, and after how many seconds there is no answer. Options that are known are decoded
(RFC 4861, 8106).
"""

import ipaddress
import json
import socket
import struct
import sys

name = sys.argv[1]
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.settimeout(float(sys.argv[2]))
s.sendto(struct.pack("!BBHI", 133, 0, 0, 0), ("ff02::2", 0, 0, socket.if_nametoindex(name)))
while True:
    message, sender = s.recvfrom(65536)
    if message[0] == 134:
        break


def domains(data):
    names, labels, i = [], [], 0
    while i < len(data):
        length = data[i]
        if length == 0:
            if labels:
                names.append(".".join(labels))
            labels = []
        labels += [data[i + 1 : i + 1 + length].decode()] if length else []
        i += 1 + length
    return names


address = lambda data: str(ipaddress.IPv6Address(data))
_, _, _, hop_limit, flags, lifetime, _, _ = struct.unpack("!BBHBBHII", message[:16])
result = {"from": sender[0].split("%")[0], "hopLimit": hop_limit, "managed": bool(flags & 0x80), "lifetime": lifetime}
options = message[16:]
while options:
    kind, length = options[0], options[1] * 8
    data = options[:length]
    if kind == 1:
        result["mac"] = ":".join(f"{byte:02x}" for byte in data[2:8])
    elif kind == 3:
        result["prefix"] = f"{address(data[16:32])}/{data[2]}"
        result["autonomous"] = bool(data[3] & 0x40)
    elif kind == 5:
        result["mtu"] = struct.unpack("!I", data[4:8])[0]
    elif kind == 25:
        result["dns"] = [address(data[i : i + 16]) for i in range(8, length, 16)]
    elif kind == 31:
        result["search"] = domains(data[8:])
    options = options[length:]
print(json.dumps(result))
